"""TLS, its certificates, proxies and users: taken from MLflow's own environment variables."""

import datetime
import ipaddress
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from release_server import MODEL, ReleaseServer

from edge.update.errors import RegistryError
from edge.update.registry import Registry

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


class Authority:
    """Issues certificates into a folder, for the server on loopback and for its clients."""

    def __init__(self, folder):
        self.folder = folder
        self._key, self._name = ec.generate_private_key(ec.SECP256R1()), _named("the test's CA")
        signs = {name: name == "key_cert_sign" for name in USAGES}
        certificate = (
            self._builder(self._name, self._key, NOW - DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**signs), critical=True)
        )
        self.path = self._write("ca", certificate.sign(self._key, hashes.SHA256()))

    def issue(self, name: str, begin=NOW - DAY) -> str:
        """A key and its certificate, valid from a moment on; the path of the file with both."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_named(name), key, begin).add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        return self._write(name, builder.sign(self._key, hashes.SHA256()), key)

    def _builder(self, name, key, begin) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder(self._name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + 30 * DAY)
            .add_extension(  # Python 3.13 takes none without these two
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        )

    def _write(self, name: str, certificate, key=None) -> str:
        content = certificate.public_bytes(serialization.Encoding.PEM)
        if key:
            content += key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        path = self.folder / f"{name}.pem"
        path.write_bytes(content)
        return str(path)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def serve(authority, folders, monkeypatch):
    """Starts a server with TLS; no variable of this machine's is set."""
    for name in ("SERVER_CERT_PATH", "CLIENT_CERT_PATH", "INSECURE_TLS"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    started = []

    def start(begin=NOW - DAY, of_clients: bool = False) -> ReleaseServer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.issue("server", begin))
        if of_clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(authority.path)
        started.append(ReleaseServer(context))
        started[0].release(folders[1], 1)
        return started[0]

    yield start
    for server in started:
        server.close()


def poll(server: ReleaseServer) -> str:
    return Registry(server.address).release(MODEL, "champion").version


def test_a_private_authority_is_trusted_if_it_is_named(serve, authority, monkeypatch):
    server = serve()
    with pytest.raises(RegistryError, match="is not trusted .*MLFLOW_TRACKING_SERVER_CERT_PATH"):
        poll(server)
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", authority.path)
    assert poll(server) == "1"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")  # MLflow's own goes first
    assert poll(server) == "1"
    monkeypatch.delenv("MLFLOW_TRACKING_SERVER_CERT_PATH")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", authority.path)
    assert poll(server) == "1"


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_insecure_tls_can_be_allowed(serve, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    assert poll(serve()) == "1"


def test_a_client_shows_its_certificate(serve, authority, monkeypatch):
    server = serve(of_clients=True)
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", authority.path)
    with pytest.raises(RegistryError):
        poll(server)
    monkeypatch.setenv("MLFLOW_TRACKING_CLIENT_CERT_PATH", authority.issue("client"))
    assert poll(server) == "1"


def test_a_clock_that_is_behind_is_reported(updated, serve, authority, monkeypatch):
    """To a clock at 1970, as of a Pi without a battery, no certificate is valid yet."""
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", authority.path)
    updater = updated.updater()
    updater.registry = Registry(serve(begin=NOW + 10 * DAY).address)
    with pytest.raises(RegistryError, match="not yet valid.*check this device's clock"):
        updater.check()
    assert updated.require_working(1)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"SERVER_CERT_PATH": "/nowhere"}, "MLFLOW_TRACKING_SERVER_CERT_PATH names no file"),
        ({"CLIENT_CERT_PATH": "/nowhere"}, "MLFLOW_TRACKING_CLIENT_CERT_PATH names no file"),
        ({"SERVER_CERT_PATH": __file__, "INSECURE_TLS": "true"}, "exclude each other"),
    ],
)
def test_contradictory_variables_are_refused(monkeypatch, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    with pytest.raises(RegistryError, match=message):
        Registry("https://mlflow.example")


def test_a_proxy_is_used_if_there_is_one(server, monkeypatch):
    """The server itself stands for the proxy: it is asked for another machine's address."""
    monkeypatch.setenv("HTTP_PROXY", server.address)
    for name in ("http_proxy", "no_proxy"):  # they count before the capitals
        monkeypatch.delenv(name, raising=False)
    release = Registry("http://mlflow.example:5000").release(MODEL, "champion")
    assert release.version == "1"
    assert server.requests[0][0].startswith("http://mlflow.example:5000/api/2.0/")
    monkeypatch.setenv("NO_PROXY", "mlflow.example")
    with pytest.raises(RegistryError, match="no MLflow server answers"):
        Registry("http://mlflow.example:5000").release(MODEL, "champion")


def test_a_proxy_that_is_down_is_named(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    for name in ("http_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RegistryError, match="the proxy to http://mlflow.example does not connect"):
        Registry("http://mlflow.example").release(MODEL, "champion")


@pytest.mark.parametrize(("closings", "works"), [(1, True), (2, False)])
def test_a_connection_that_the_server_has_closed_is_opened_again_once(server, closings, works):
    registry = Registry(server.address)
    assert registry.release(MODEL, "champion").version == "1"
    left = [closings]

    def close(handler):
        left[0] -= 1
        handler.close_connection = left[0] >= 0
        return handler.close_connection

    server.fault = close
    if works:
        assert registry.release(MODEL, "champion").version == "1"
    else:
        with pytest.raises(RegistryError, match="no MLflow server answers"):
            registry.release(MODEL, "champion")
    assert len(server.requests) == 3
