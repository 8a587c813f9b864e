"""HTTP by urllib3 alone, through the proxies and with the authorities of the environment."""

import base64
import os
from contextlib import suppress
from functools import cached_property
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import LocationValueError, ProxyError, SSLError

from edge.update.deadline import Deadline

UNREAD = {"redirect": False, "retries": False, "preload_content": False, "decode_content": False}


class Client:
    """Sends requests to one address; follows no redirect, and unzips no answer.

    ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` (names, addresses, networks)
    count. Trusted is what ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE`` names, or else the system's
    store, or that of ``SSL_CERT_FILE``.

    Args:
        address: to which a request's route is added; a user and password in it are sent along.
        ca: file or folder of the authorities to trust instead.
        tls: further options of urllib3's connections.

    Attributes:
        deadline: cuts the connection.
    """

    def __init__(self, address: str, ca: str | None = None, **tls: Any):
        self._address, self._tls, self.deadline = address, tls, Deadline()
        self._ca = ca or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")

    def request(self, method: str, route: str = "", **options: Any) -> urllib3.BaseHTTPResponse:
        """Return an answer whose body is still to be read; close it.

        Args:
            options: of urllib3's ``request``.

        Raises:
            urllib3.exceptions.HTTPError: there is no answer; ``LocationValueError`` if there is no
                such address.
        """
        root, user, manager = self._way
        headers = user | (options.pop("headers", None) or {})
        return manager.request(method, root + route, headers=headers, **UNREAD | options)

    @cached_property
    def _way(self) -> tuple[str, dict[str, str], urllib3.PoolManager]:
        """What is put before a route, the headers of the address's user, and the connections."""
        parts, user = _split(self._address)
        if self._ca and not os.path.exists(self._ca):
            raise SSLError(f"there is no {self._ca}")
        if self._ca:
            self._tls["ca_cert_dir" if os.path.isdir(self._ca) else "ca_certs"] = self._ca
        proxy = _proxy(parts)
        manager = self._through(proxy) if proxy else urllib3.PoolManager(**self._tls)
        self.deadline.watch_all(manager)
        return parts.geturl(), {"Authorization": user} if user else {}, manager

    def _through(self, proxy: str) -> urllib3.ProxyManager:
        try:
            parts, user = _split(proxy if "://" in proxy else f"http://{proxy}")
        except LocationValueError as error:
            raise ProxyError("its address is malformed", error) from error
        headers = {"Proxy-Authorization": user} if user else None
        return urllib3.ProxyManager(parts.geturl(), proxy_headers=headers, **self._tls)


def basic(user: str, password: str) -> str:
    """Return the header of a user; as UTF-8, like MLflow's own client."""
    text = f"{user}:{password}".encode(errors="surrogateescape")
    return f"Basic {base64.b64encode(text).decode()}"


def _split(address: str) -> tuple[SplitResult, str | None]:
    """Return an address without its user, and that user's header.

    The host is in ASCII, for which urllib3 would need a further package. No error has the text of
    an address, which may hold a password.
    """
    with suppress(ValueError):
        parts = urlsplit(address)
        host, colon, port = parts.netloc.rpartition("@")[2].partition(":")
        netloc = host.encode("idna").decode() + colon + port
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            name, password = unquote(parts.username or ""), parts.password
            user = None if password is None else basic(name, unquote(password))
            return parts._replace(netloc=netloc, fragment=""), user
    raise LocationValueError("it takes http:// or https://, and a host's name or address")


def _proxy(parts: SplitResult) -> str | None:
    """Return the proxy to an address."""
    proxies, host = getproxies(), parts.hostname or ""
    excluded = any(_is_in(host, network) for network in proxies.get("no", "").split(","))
    if excluded or proxy_bypass(host) or proxy_bypass(f"{host}:{parts.port}"):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")


def _is_in(host: str, network: str) -> bool:
    with suppress(ValueError):  # one of them is a name
        return ip_address(host) in ip_network(network.strip(), strict=False)
    return False
