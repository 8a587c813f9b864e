"""Who released a model: Ed25519 signatures over the release statement.

The device holds public keys alone. A statement may carry several signatures, so that while keys
change, a device that knows the old one or the new one accepts it.
"""

import base64
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge.inference.errors import UserError

KEYS_FILE = "release-keys.txt"
"""The file of public keys in a device's folder of models: one per line."""


class SignatureError(UserError):
    """A release is not signed by a key that this device knows, or a key is not valid."""


def signed_content(stated: dict[str, Any]) -> bytes:
    """Return the bytes that are signed: the statement without its signatures, as canonical JSON."""
    content = {key: value for key, value in stated.items() if key != "signatures"}
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def require_signature(stated: dict[str, Any], keys: list[str]) -> None:
    """Raise :class:`SignatureError` unless one of ``keys`` signed the statement.

    Args:
        stated: the statement; ``signatures`` maps public keys to signatures, both base64.
        keys: the public keys that are trusted, base64 of their 32 bytes.
    """
    from nacl.exceptions import BadSignatureError
    from nacl.signing import VerifyKey

    signatures = stated.get("signatures")
    if not isinstance(signatures, dict) or not signatures:
        raise SignatureError(
            f"release {stated.get('release')} is not signed, as this device requires: "
            "give the profile a release key and export again, or allow unsigned releases here"
        )
    trusted = [key for key in keys if key in signatures]
    for key in trusted:  # one good signature is enough, in any order of keys
        with suppress(BadSignatureError, ValueError):
            signature = base64.b64decode(str(signatures[key]), validate=True)
            VerifyKey(_key_bytes(key)).verify(signed_content(stated), signature)
            return
    if trusted:
        signers = " and ".join(trusted)
        raise SignatureError(
            f"the signature of release {stated.get('release')} by the key {signers} is not valid"
        )
    raise SignatureError(
        f"release {stated.get('release')} is signed by {' and '.join(sorted(signatures))}, none of "
        "which this device trusts: add the key to its keys if it is yours"
    )


def _key_bytes(key: str) -> bytes:
    """Return the 32 bytes of a public key; raises :class:`SignatureError` if it is not one."""
    try:
        raw = base64.b64decode(key, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise SignatureError(
            f"{key!r} is not a public key: python -m steps.release.keys show prints them"
        )
    return raw


def pinned_keys(named: Path | None, models: Path) -> list[str]:
    """Return the public keys that a device trusts; none before its first signed release.

    Args:
        named: a file of keys, which has to exist; without one it is :data:`KEYS_FILE`, if any.
        models: the folder of all models.
    """
    path = named or models / KEYS_FILE
    return read_keys(path) if named or path.exists() else []


def read_keys(path: Path) -> list[str]:
    """Return the public keys of a file, one per line; what follows a ``#`` is a comment.

    Raises:
        SignatureError: there is no such file, it is no text, has no key, or a line is not a key.
    """
    if not path.is_file():
        raise SignatureError(f"{path} does not exist: put the public keys there, one per line")
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise SignatureError(
            f"{path} is not UTF-8: put the public keys there as plain text, one per line"
        ) from error
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    keys = [line for line in lines if line]
    if not keys:
        raise SignatureError(f"{path} has no key: put the public keys there, one per line")
    for key in keys:
        _key_bytes(key)
    return keys
