"""A client of an MLflow server's REST API: its user, its certificates and its errors."""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, LocationValueError, MaxRetryError, ProxyError, SSLError

from edge.protocol.addresses import shown_address, without_userinfo
from edge.update.client import Client, basic
from edge.update.errors import RegistryError

CONNECT_SECONDS, READ_SECONDS = 5.0, 60.0
SLOWEST = 2000
"""Bytes per second below which a download is stopped; its bytes are kept for the next attempt."""
ROUND_SECONDS = 3600.0
"""For all requests of a poll; what is missing then follows with the next one."""
CHUNK = 1 << 16
LONGEST_ANSWER = 1 << 18
"""Bytes of an answer about a version; a longer one is not MLflow's."""

LONGEST_MESSAGE = 500
"""Characters of a server's error message that are shown."""


# a server closes an idle connection after seconds, possibly just before the next request
RETRY_ONCE = urllib3.Retry(total=1, connect=0, read=1, redirect=0, status=0, other=0)


class Server:
    """A client that keeps its connection to a server open.

    User and transport come from the same environment variables as MLflow's:
    ``MLFLOW_TRACKING_USERNAME`` and ``MLFLOW_TRACKING_PASSWORD``, or else
    ``MLFLOW_TRACKING_TOKEN``; ``MLFLOW_TRACKING_SERVER_CERT_PATH`` (the CA to trust),
    ``MLFLOW_TRACKING_CLIENT_CERT_PATH``, ``MLFLOW_TRACKING_INSECURE_TLS``; ``HTTPS_PROXY``,
    ``HTTP_PROXY`` and ``NO_PROXY``.

    Args:
        address: such as ``http://mlflow.local:5000``.

    Attributes:
        address: as it may be shown.

    Raises:
        RegistryError: the environment contradicts itself, or names a file that does not exist.
    """

    def __init__(self, address: str):
        self._root = address.rstrip("/")
        self.address = shown_address(self._root)
        self._client = Client(self._root, **_certificates())
        self._user = _user()
        self.start_round()

    def start_round(self) -> None:
        """Give all requests from now on an hour together."""
        self._round_end = time.monotonic() + ROUND_SECONDS

    @contextmanager
    def get(
        self,
        route: str,
        query: dict[str, str],
        headers: dict[str, str] | None = None,
        length: int = LONGEST_ANSWER,
    ) -> Iterator[BaseHTTPResponse]:
        """Request a route; read the answer by :func:`read_chunks` or :func:`read_content`.

        The connection is cut if request and answer, inside the block, are too slow for an answer
        of ``length`` bytes.

        Raises:
            RegistryError: there is no server or no right to read, or the server reports an error.
        """
        left = self._round_end - time.monotonic()
        if left <= 0:
            raise RegistryError(f"{self.address} is too slow: the rest follows with the next poll")
        with (
            self._client.deadline.within(min(left, READ_SECONDS + length / SLOWEST)),
            closing(self._request(f"{route}?{urlencode(query)}", headers or {})) as answer,
        ):
            self._require_success(answer, query)
            yield answer

    def _request(self, route: str, headers: dict[str, str]) -> BaseHTTPResponse:
        try:
            return self._client.request(
                "GET",
                route,
                headers=self._user | headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
                retries=RETRY_ONCE,
            )
        except HTTPError as error:
            raise RegistryError(self._why_no_answer(error)) from error

    def _require_success(self, answer: BaseHTTPResponse, query: dict[str, str]) -> None:
        if location := answer.get_redirect_location():
            raise RegistryError(
                f"{self.address} redirects to {without_userinfo(location[:200])}, which is not "
                "followed: set model.server to the right address"
            )
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            begin = b""
            with suppress(HTTPError):
                begin = answer.read(100)
            if b"Invalid Host" in begin:
                host = urlsplit(self._root).hostname
                raise RegistryError(
                    f"{self.address} takes no requests for the name {host}: start the server with "
                    f"--allowed-hosts {host}, or use a name that it allows"
                )
            raise RegistryError(
                f"{self.address} does not let this user read {query['name']}: set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            )
        is_past_end = answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        if answer.status >= HTTPStatus.BAD_REQUEST and not is_past_end:
            raise RegistryError(f"{self.address}: {_reason(answer)}")

    def _why_no_answer(self, error: HTTPError) -> str:
        if self._client.deadline.is_over:
            return f"{self.address} is too slow: it has not answered in time"
        match error.reason if isinstance(error, MaxRetryError) else error:
            case ProxyError():
                advice = "check HTTPS_PROXY and NO_PROXY"
                return f"the proxy to {self.address} does not connect: {advice}"
            case SSLError() as cause:
                return (
                    f"{self.address} is not trusted ({_tls_reason(cause)}): check this device's "
                    "clock, and that MLFLOW_TRACKING_SERVER_CERT_PATH names the file of your CA"
                )
            case LocationValueError():
                shown = self.address if self.address.strip() else repr(self.address)
                return f"{shown} is not a server's address ({without_userinfo(str(error))})"
        advice = "check the address, and that it runs"
        return f"no MLflow server answers at {self.address}: {advice}"


def _set(part: str) -> str | None:
    return os.environ.get(f"MLFLOW_TRACKING_{part}") or None


def _certificates() -> dict[str, str | None]:
    """Return the CA to trust, or that none is checked; and the client's own certificate."""
    authority, own = _set("SERVER_CERT_PATH"), _set("CLIENT_CERT_PATH")
    insecure = (_set("INSECURE_TLS") or "").lower() in ("true", "1")
    if insecure and authority:
        raise RegistryError(
            "MLFLOW_TRACKING_INSECURE_TLS and MLFLOW_TRACKING_SERVER_CERT_PATH exclude each other: "
            "unset one"
        )
    for name, path in (("SERVER", authority), ("CLIENT", own)):
        if path and not os.path.exists(path):
            raise RegistryError(f"MLFLOW_TRACKING_{name}_CERT_PATH names no file: {path}")
    if not insecure:
        return {"ca": authority, "cert_file": own}
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # one for each connection
    return {"cert_reqs": "CERT_NONE", "cert_file": own}


def _user() -> dict[str, str]:
    user, password, token = (_set(part) for part in ("USERNAME", "PASSWORD", "TOKEN"))
    if user and password:
        return {"Authorization": basic(user, password)}
    if token and not (token.isascii() and token.isprintable()):
        raise RegistryError("MLFLOW_TRACKING_TOKEN has characters that no token has: copy it again")
    return {"Authorization": f"Bearer {token}"} if token else {}


def read_chunks(answer: BaseHTTPResponse) -> Iterator[bytes]:
    """Yield an answer's bytes as they arrive.

    Raises:
        urllib3.exceptions.HTTPError: the connection breaks off, or is cut.
    """
    while chunk := answer.read1(CHUNK):  # not `read`, which waits for a full chunk
        yield chunk


def read_content(answer: BaseHTTPResponse) -> bytes:
    """Return an answer that is not a file; one above ``LONGEST_ANSWER`` is a ``ValueError``."""
    content = b""
    for chunk in read_chunks(answer):
        content += chunk
        if len(content) > LONGEST_ANSWER:
            raise ValueError("the answer is too long")
    return content


def _tls_reason(error: BaseException) -> str:
    """Return why TLS failed, such as "certificate is not yet valid"."""
    said = str(error)
    reason = re.search(r"verify failed: ([^(]*)", said) or re.search(r"\] ([^(]*)", said)
    return reason[1].strip() if reason else said


def _reason(answer: BaseHTTPResponse) -> str:
    """Return the server's error message, on one line."""
    try:
        message = str(json.loads(read_content(answer))["message"])
    except (ValueError, KeyError, TypeError, RecursionError, HTTPError):
        message = answer.reason or "an error without a reason"
    return f"{' '.join(message.split())[:LONGEST_MESSAGE]} (HTTP {answer.status})"
