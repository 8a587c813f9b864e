"""The keys that sign releases; the first release makes one in the profile's key file.

    python -m steps.release.keys make   release.pem   # a key in another file
    python -m steps.release.keys show   release.pem   # the public keys, as devices need them
    python -m steps.release.keys rotate release.pem   # add a new key; the old ones still sign too
    python -m steps.release.keys retire release.pem   # remove all keys but the newest

The file holds private keys, the newest first, and each of them signs every release. So after
`rotate`, devices can get the new public key one by one; `retire` when all have it.
"""

import argparse
import base64
import logging
import os
import re
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from edge.protocol.signature import signed_content
from steps.atomic import create_atomically, make_folder, write_atomically
from steps.errors import UserError
from steps.settings.profile import data_home

KEY_VARIABLE = "LAKEHOUSE_VISION_RELEASE_KEY"
"""May hold the content of a key file, if a file is impractical, as in CI."""

PEM = re.compile(r"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----", re.DOTALL)

SigningKeys = list[Ed25519PrivateKey]

logger = logging.getLogger("steps")


def signing_keys(key_file: str | None) -> SigningKeys:
    """Return the keys of the environment variable, or else of a file; none if neither is set.

    Args:
        key_file: a path; a relative one starts at the data's home. It is made if it is missing.

    Raises:
        UserError: the file holds no Ed25519 key.
    """
    if text := os.environ.get(KEY_VARIABLE):
        return _parse(text, f"the environment variable {KEY_VARIABLE}")
    if key_file is None:
        return []
    path = data_home() / Path(key_file).expanduser()
    if not path.exists():
        _make(path)
    return _read(path)


def public_keys(key_file: str | None) -> list[str]:
    """Return the public keys of :func:`signing_keys`, the newest first, as devices need them."""
    return [public_key(key) for key in signing_keys(key_file)]


def sign(statement: dict[str, Any], keys: SigningKeys) -> dict[str, Any]:
    """Return a release statement with the signature of each key; unchanged without keys."""
    if not keys:
        logger.warning(
            "the release is NOT SIGNED: anyone who can write to the registry can give devices a "
            "model, and devices take it only with model.unsigned = true; to sign, set "
            "release.key_file in the profile"
        )
        return statement
    content = signed_content(statement)
    signatures = {public_key(key): base64.b64encode(key.sign(content)).decode() for key in keys}
    return statement | {"signatures": signatures}


def public_key(key: Ed25519PrivateKey) -> str:
    """Return the public key as devices need it: base64 of its 32 bytes."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def _make(path: Path) -> None:
    """Make a file with a new key, unless another process makes it at the same time."""
    try:
        make_folder(str(path.parent))
        is_made = create_atomically(str(path), _pem([Ed25519PrivateKey.generate()]), 0o600)
    except OSError as error:
        raise UserError(
            f"cannot make the key file {path} ({error.strerror}): make its folder writable, or set "
            "release.key_file in the profile"
        ) from error
    if is_made:
        logger.warning(
            "made the key that signs releases, %s: keep a copy, since devices trust the first key "
            "that they see",
            path,
        )


def _read(path: Path) -> SigningKeys:
    if not path.is_file():
        raise UserError(
            f"there is no key file {path}; run: python -m steps.release.keys make {path}"
        )
    return _parse(path.read_text(encoding="ascii", errors="replace"), str(path))


def _parse(text: str, place: str) -> SigningKeys:
    try:
        keys = [load_pem_private_key(pem.encode(), password=None) for pem in PEM.findall(text)]
    except ValueError as error:
        raise UserError(f"a key in {place} is damaged; restore it from a backup") from error
    known = [key for key in keys if isinstance(key, Ed25519PrivateKey)]
    if not known or known != keys:
        raise UserError(
            f"{place} holds no Ed25519 key; run: python -m steps.release.keys make <file>"
        )
    return known


def _pem(keys: SigningKeys) -> bytes:
    encoding = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    return b"".join(key.private_bytes(*encoding) for key in keys)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and print the public keys of the file, the newest first."""
    parser = argparse.ArgumentParser(
        prog="python -m steps.release.keys",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=["make", "show", "rotate", "retire"])
    parser.add_argument("file", type=Path, help="file of private keys")
    options = parser.parse_args(arguments)
    try:
        if options.command == "make":
            options.file.touch(mode=0o600, exist_ok=False)
            keys = []
        else:
            keys = _read(options.file.resolve())
        if options.command in ("make", "rotate"):
            keys = [Ed25519PrivateKey.generate(), *keys]
        elif options.command == "retire":
            keys = keys[:1]
        if options.command != "show":
            write_atomically(str(options.file), _pem(keys), 0o600)
    except FileExistsError:
        command = f"python -m steps.release.keys rotate {options.file}"
        sys.exit(f"keys: {options.file} exists; to add a key, run: {command}")
    except UserError as error:
        sys.exit(f"keys: {error}")
    for key in keys:
        print(public_key(key))  # noqa: T201 - the output of this command


if __name__ == "__main__":
    main()
