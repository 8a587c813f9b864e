"""Addresses as text, as they may be shown in logs, on the page and in the lake."""

import re
from urllib.parse import urlsplit

LOOPBACK = ("localhost", "127.0.0.1", "::1")

USERINFO = re.compile(r"(?<=://)[^/\s]*@")
WITHIN_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(.*@)", re.DOTALL | re.IGNORECASE)
"""The user and password of an address, however it is written: all up to its last ``@``."""


def without_userinfo(text: str, address: str = "") -> str:
    """Return a text whose addresses have neither user nor password.

    Args:
        text: such as an error's.
        address: one that it may have; of this one they are found even if it is malformed.

    >>> without_userinfo("no server answers at https://me:secret@mlflow.local:5000/x")
    'no server answers at https://mlflow.local:5000/x'
    """
    if found := WITHIN_ADDRESS.match(address):
        text = text.replace(found[1], "")
        # of a password with a slash, a library takes the first part for a port, and names it
        secret = found[1].partition(":")[2] or found[1]
        for part in re.findall(r"[^:/?#@\s]+", secret):
            text = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", "…", text)
    return USERINFO.sub("", text)


def is_address(text: str, schemes: tuple[str, ...]) -> bool:
    """Return whether a text is an address of such a scheme, with a host and a possible port.

    >>> is_address("http://[::1]:5000", ("http",)), is_address("http://[::1", ("http",))
    (True, False)
    """
    try:
        parts = urlsplit(text)
        (parts.hostname or "").encode("idna")  # refuses hub..local
        return bool(parts.scheme in schemes and parts.hostname and parts.port != 0)
    except ValueError:
        return False


def shown_address(address: str) -> str:
    """Return an address as it may be shown, malformed or not; rather too little of it.

    >>> shown_address("rtsp://me:sec/ret@porch/1"), shown_address("me:secret@porch/1")
    ('rtsp://porch/1', 'porch/1')
    """
    return without_userinfo(address, address)


def web_address(host: str, port: int) -> str:
    """Return the address of a page.

    >>> web_address("::1", 8089)
    'http://[::1]:8089'
    """
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
