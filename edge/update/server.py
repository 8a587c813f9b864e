"""A client of an MLflow server's REST API: its user, its certificates and its errors."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from urllib.parse import urlsplit

import requests
import urllib3

from edge.protocol.addresses import without_userinfo
from edge.update.deadline import Deadline, DeadlineAdapter
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


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Follow no redirect; even if told not to, requests unzips all that comes with one."""


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
        self.address = without_userinfo(self._root)
        self._session, self._deadline = _Session(), Deadline()
        self.start_round()
        self._session.headers["Accept-Encoding"] = "identity"
        # a server closes an idle connection after seconds, possibly just before the next request
        retry_once = urllib3.Retry(total=1, connect=0, read=1, redirect=0, status=0, other=0)
        for scheme in ("http://", "https://"):
            adapter = DeadlineAdapter(self._deadline, max_retries=retry_once)
            self._session.mount(scheme, adapter)
        self._verify, self._session.cert = _certificates()
        user, password = (_set(part) for part in ("USERNAME", "PASSWORD"))
        token = _set("TOKEN")
        if user and password:
            self._session.auth = (user, password)
        elif token:
            self._session.auth = _bearer(token)

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
    ) -> Iterator[requests.Response]:
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
            self._deadline.within(min(left, READ_SECONDS + length / SLOWEST)),
            self._request(route, query, headers) as answer,
        ):
            yield answer

    def _request(
        self, route: str, query: dict[str, str], headers: dict[str, str] | None
    ) -> requests.Response:
        try:
            answer = self._session.get(
                self._root + route,
                params=query,
                headers=headers,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                stream=True,
                verify=self._verify,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise RegistryError(self._why_no_answer(error)) from error
        if answer.is_redirect:
            with answer:
                to = without_userinfo(answer.headers["Location"][:200])
                raise RegistryError(
                    f"{self.address} redirects to {to}, which is not followed: set model.server to "
                    "the right address"
                )
        if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            begin = b""
            with answer, suppress(urllib3.exceptions.HTTPError):
                begin = answer.raw.read(100)
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
        is_past_end = answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        if not answer.ok and not is_past_end:
            with answer:
                raise RegistryError(f"{self.address}: {_reason(answer)}")
        return answer

    def _why_no_answer(self, error: Exception) -> str:
        if self._deadline.is_over:
            return f"{self.address} is too slow: it has not answered in time"
        match error:
            case requests.exceptions.ProxyError():
                advice = "check HTTPS_PROXY and NO_PROXY"
                return f"the proxy to {self.address} does not connect: {advice}"
            case requests.exceptions.SSLError():
                return (
                    f"{self.address} is not trusted ({_tls_reason(error)}): check this device's "
                    "clock, and that MLFLOW_TRACKING_SERVER_CERT_PATH names the file of your CA"
                )
            case requests.ConnectionError() | requests.Timeout():
                advice = "check the address, and that it runs"
                return f"no MLflow server answers at {self.address}: {advice}"
        # requests does not wrap urllib3's error about a host such as "mlflow..local"
        return f"{self.address} is not a server's address ({without_userinfo(str(error))})"


def _set(part: str) -> str | None:
    return os.environ.get(f"MLFLOW_TRACKING_{part}") or None


def _certificates() -> tuple[bool | str, str | None]:
    """Return the CA to trust, or whether to check at all; and the client's own certificate."""
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
    return (authority or not insecure), own


def _bearer(token: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    def authorise(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return authorise


def read_chunks(answer: requests.Response) -> Iterator[bytes]:
    """Yield an answer's bytes as they arrive.

    Raises:
        urllib3.exceptions.HTTPError: the connection breaks off, or is cut.
    """
    while chunk := answer.raw.read1(CHUNK):  # not `read`, which waits for a full chunk
        yield chunk


def read_content(answer: requests.Response) -> bytes:
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


def _reason(answer: requests.Response) -> str:
    """Return the server's error message, on one line."""
    try:
        message = str(json.loads(read_content(answer))["message"])
    except (ValueError, KeyError, TypeError, RecursionError, urllib3.exceptions.HTTPError):
        message = answer.reason or "an error without a reason"
    return f"{' '.join(message.split())[:LONGEST_MESSAGE]} (HTTP {answer.status_code})"
