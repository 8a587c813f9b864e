"""The signature of a webhook, as https://www.standardwebhooks.com describes it."""

import base64
import hashlib
import hmac

MIN_SECRET_BYTES = 24


def sign(secret: bytes, id: str, at: str, body: bytes) -> str:
    """Return the signature of a webhook's message.

    Args:
        secret: that the receiver has too.
        id: of the message; the same for every attempt, so that a receiver can ignore repeats.
        at: when it is sent, in seconds since 1970.
        body: of the request.
    """
    signed = hmac.new(secret, f"{id}.{at}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(signed.digest()).decode()
