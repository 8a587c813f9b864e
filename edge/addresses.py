"""Addresses as they may be shown: errors and states go into logs, the page and the lake."""

import re

USERINFO = re.compile(r"(?<=://)[^/\s]*@")


def without_userinfo(text: str) -> str:
    """A text in which no address says who asks, and with which password.

    >>> without_userinfo("no server answers at https://me:secret@mlflow.local:5000/x")
    'no server answers at https://mlflow.local:5000/x'
    """
    return USERINFO.sub("", text)
