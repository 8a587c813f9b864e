"""Who released a model: Ed25519 signatures over the release statement.

The device holds public keys alone. A statement may carry several signatures, so that while keys
change, a device that knows the old one or the new one accepts it.
"""

import base64
import json
from pathlib import Path

from edge.inference.errors import UserError

KEYS_FILE = "release-keys.txt"
"""Public keys beside the models on a device: one a line."""


class SignatureError(UserError):
    """A release is not signed by a key that this device knows, or the key is no key."""


def signed_content(stated: dict) -> bytes:
    """The bytes that a signature is over: the statement without its signatures, canonical JSON."""
    content = {key: value for key, value in stated.items() if key != "signatures"}
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def require_signature(stated: dict, keys: list[str]) -> None:
    """Raise :class:`SignatureError` unless one of ``keys`` signed the statement.

    Args:
        stated: the statement; ``signatures`` maps public keys to signatures, both base64.
        keys: the public keys that are trusted, base64 of their 32 bytes.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    signatures = stated.get("signatures")
    if not isinstance(signatures, dict) or not signatures:
        raise SignatureError(
            f"release {stated.get('release')} is not signed, and this device takes signed ones "
            "only: give the profile a release key and export again"
        )
    for key in keys:
        if key not in signatures:
            continue
        try:
            signature = base64.b64decode(str(signatures[key]), validate=True)
            Ed25519PublicKey.from_public_bytes(key_bytes(key)).verify(
                signature, signed_content(stated)
            )
        except (InvalidSignature, ValueError) as error:
            raise SignatureError(
                f"the signature of release {stated.get('release')} by the key {key} is false"
            ) from error
        return
    raise SignatureError(
        f"release {stated.get('release')} is signed by {' and '.join(sorted(signatures))}, none of "
        "which this device trusts: add the key to its keys if it is yours"
    )


def key_bytes(key: str) -> bytes:
    """The 32 bytes of a public key, or :class:`SignatureError`."""
    try:
        raw = base64.b64decode(key, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise SignatureError(
            f"{key!r} is no public key: python -m steps.release.keys show prints them"
        )
    return raw


def read_keys(path: Path) -> list[str]:
    """The public keys of a file, one a line; what follows a ``#`` is a comment.

    Raises:
        SignatureError: there is no such file, no key in it, or a line is no key.
    """
    if not path.is_file():
        raise SignatureError(f"there is no file of keys {path}")
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    keys = [line for line in lines if line]
    if not keys:
        raise SignatureError(f"{path} holds no key")
    for key in keys:
        key_bytes(key)
    return keys
