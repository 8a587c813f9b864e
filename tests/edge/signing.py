"""Keys of the tests, and what they sign."""

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.protocol.signature import signed_content

OURS, NEXT, FOREIGN = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2, 3))


def public(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def signing(*keys: Ed25519PrivateKey):
    """Signs a statement in place, as the cluster does."""

    def change(stated: dict) -> None:
        content = signed_content(stated)
        stated["signatures"] = {
            public(key): base64.b64encode(key.sign(content)).decode() for key in keys
        }

    return change
