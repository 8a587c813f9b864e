"""The page's own certificate: self-signed, for a phone in the same network."""

import ipaddress
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from steps.atomic import write_atomically

DAYS = 365
LEFT = timedelta(days=7)
"""Before its end, a new certificate is made."""


def fingerprint_of(host: str, file: Path) -> str:
    """Return the SHA-256 fingerprint of a host's certificate, as browsers show it.

    It stays the same for a year, so that a phone is asked about it once.

    Args:
        host: a name or an address.
        file: key and certificate (PEM), made if they are not there or end soon.
    """
    certificate = None
    with suppress(OSError, ValueError):
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    if certificate is None or certificate.not_valid_after_utc - LEFT < datetime.now(UTC):
        certificate = _make(host, file)
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _make(host: str, file: Path) -> x509.Certificate:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "labels of lakehouse-vision")])
    try:
        known: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        known = x509.DNSName(host)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # the phone's clock may be behind
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([known]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.parent.mkdir(parents=True, exist_ok=True)
    content = key.private_bytes(pem, *plain) + certificate.public_bytes(pem)
    write_atomically(str(file), content, mode=0o600)
    return certificate


def own_address() -> str:
    """Return the address of this machine by which others reach it, as far as it is known."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: it only chooses the network
        return str(probe.getsockname()[0])
    return "192.168.1.7"
