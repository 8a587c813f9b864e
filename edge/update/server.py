"""An MLflow server by plain REST: who asks, whom he trusts, what is said where no answer comes."""

import json
import os
import re
import time
from collections.abc import Iterator

import requests
import urllib3

from edge.inference.errors import UserError
from edge.protocol.addresses import without_userinfo

CONNECT_SECONDS, READ_SECONDS = 5.0, 60.0
SLOWEST = 2000
"""Bytes a second below which a download is given up; what has come by then is kept."""
CHUNK = 1 << 16
LONGEST_ANSWER = 1 << 20
"""Bytes of an answer about a version; more is no answer of MLflow's."""
NOTHING_LEFT = 416
"""The status of a file that ends before the range asked for."""


class RegistryError(UserError):
    """The registry does not give what was asked for."""


class Server:
    """A server, asked over a connection that is kept open.

    User and transport are taken from the environment as MLflow takes them:
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
        self._session = requests.Session()
        self._session.headers["Accept-Encoding"] = "identity"
        # a server closes what was idle for seconds, at times in the moment it is asked again
        once_more = urllib3.Retry(total=1, connect=0, read=1, redirect=0, status=0, other=0)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=once_more))
        self._verify, self._session.cert = _certificates()
        user, password = (_set(part) for part in ("USERNAME", "PASSWORD"))
        token = _set("TOKEN")
        if user and password:
            self._session.auth = (user, password)
        elif token:
            self._session.auth = _bearer(token)

    def get(
        self, route: str, query: dict[str, str], headers: dict[str, str] | None = None
    ) -> requests.Response:
        """Ask for a route; the answer's content is read by :func:`pieces` or :func:`content`.

        Raises:
            RegistryError: no server, no right, or the server says that something went wrong.
        """
        try:
            answer = self._session.get(
                self._root + route,
                params=query,
                headers=headers,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                stream=True,
                verify=self._verify,
            )
        except requests.exceptions.ProxyError as error:
            raise RegistryError(
                f"the proxy to {self.address} does not let through: check HTTPS_PROXY and NO_PROXY"
            ) from error
        except requests.exceptions.SSLError as error:
            raise RegistryError(
                f"{self.address} is not trusted ({_distrust(error)}): check this device's clock, "
                "and that MLFLOW_TRACKING_SERVER_CERT_PATH names the file of your CA"
            ) from error
        except (requests.ConnectionError, requests.Timeout) as error:
            raise RegistryError(
                f"no MLflow server answers at {self.address}: check the address, and that it runs"
            ) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            # requests lets through what urllib3 says of a host such as "mlflow..local"
            why = without_userinfo(str(error))
            raise RegistryError(f"{self.address} is no server's address ({why})") from error
        if answer.status_code in (401, 403):
            answer.close()
            raise RegistryError(
                f"{self.address} does not let this user read {query['name']}: set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            )
        if not answer.ok and answer.status_code != NOTHING_LEFT:
            with answer:
                raise RegistryError(f"{self.address}: {_reason(answer)}")
        return answer


def _set(part: str) -> str | None:
    return os.environ.get(f"MLFLOW_TRACKING_{part}") or None


def _certificates() -> tuple[bool | str, str | None]:
    """The CA to trust, or whether to check at all; and the client's own certificate."""
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
    if authority is None and not insecure:
        authority = os.environ.get("REQUESTS_CA_BUNDLE") or None
    return (authority or not insecure), own


def _bearer(token: str):
    def authorise(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return authorise


def pieces(answer: requests.Response, length: int) -> Iterator[bytes]:
    """An answer's bytes as they come.

    Raises:
        TimeoutError: they come too slowly for what is to be ``length`` bytes.
        urllib3.exceptions.HTTPError: they break off.
    """
    end = time.monotonic() + READ_SECONDS + length / SLOWEST
    while piece := answer.raw.read1(CHUNK):  # not `read`, which waits for the whole chunk
        yield piece
        if time.monotonic() > end:
            raise TimeoutError(f"is slower than {SLOWEST} bytes a second")


def content(answer: requests.Response) -> bytes:
    """The bytes of an answer that is no file, or ``ValueError`` where they do not end."""
    came = b""
    for piece in pieces(answer, LONGEST_ANSWER):
        came += piece
        if len(came) > LONGEST_ANSWER:
            raise ValueError("an endless answer")
    return came


def _distrust(error: BaseException) -> str:
    """Why TLS failed, such as "certificate is not yet valid"."""
    reason = re.search(r"verify failed: ([^(]*)", str(error)) or re.search(
        r"\] ([^(]*)", str(error)
    )
    return reason[1].strip() if reason else str(error)


def _reason(answer: requests.Response) -> str:
    """What the server says went wrong, on one line."""
    try:
        said = str(json.loads(content(answer))["message"])
    except (ValueError, KeyError, TypeError, TimeoutError, urllib3.exceptions.HTTPError):
        said = answer.reason or "an error without a reason"
    return f"{' '.join(said.split())} (HTTP {answer.status_code})"
