"""Addresses as text, as they may be shown in logs, on the page and in the lake."""

import re

LOOPBACK = ("localhost", "127.0.0.1", "::1")

USERINFO = re.compile(r"(?<=://)[^/\s]*@")


def without_userinfo(text: str) -> str:
    """Return a text whose addresses have neither user nor password.

    >>> without_userinfo("no server answers at https://me:secret@mlflow.local:5000/x")
    'no server answers at https://mlflow.local:5000/x'
    """
    return USERINFO.sub("", text)


def web_address(host: str, port: int) -> str:
    """Return the address of a page.

    >>> web_address("::1", 8089)
    'http://[::1]:8089'
    """
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
