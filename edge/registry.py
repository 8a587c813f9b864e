"""The model registry of an MLflow server, by plain REST."""

import os
from dataclasses import dataclass
from pathlib import Path

import requests

from edge.errors import UserError

CONNECT_SECONDS, READ_SECONDS = 5.0, 60.0
CHUNK = 1 << 20


class RegistryError(UserError):
    """The registry does not give what was asked for."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model: its name, its version, and the version's tags."""

    name: str
    version: str
    tags: dict[str, str]


class Registry:
    """Reads a registry with no more than the right to read.

    The server's user is taken from the environment as MLflow takes it:
    ``MLFLOW_TRACKING_USERNAME`` and ``MLFLOW_TRACKING_PASSWORD``, or else
    ``MLFLOW_TRACKING_TOKEN``.

    Args:
        server: the server's address, such as ``http://mlflow.local:5000``.
    """

    def __init__(self, server: str):
        self.server = server.rstrip("/")
        self._session = requests.Session()
        user, password = (
            os.environ.get(f"MLFLOW_TRACKING_{part}") for part in ("USERNAME", "PASSWORD")
        )
        token = os.environ.get("MLFLOW_TRACKING_TOKEN")
        if user and password:
            self._session.auth = (user, password)
        elif token:
            self._session.auth = _bearer(token)

    def version(self, name: str, alias: str) -> RegisteredVersion:
        """The version that an alias points at.

        Raises:
            RegistryError: no server, no such model or alias, or no right to read it.
        """
        with self._get(
            "/api/2.0/mlflow/registered-models/alias", {"name": name, "alias": alias}
        ) as answer:
            try:
                found = answer.json()["model_version"]
                tags = {tag["key"]: tag.get("value", "") for tag in found.get("tags", [])}
                return RegisteredVersion(found["name"], str(found["version"]), tags)
            except (ValueError, KeyError, TypeError) as error:
                raise RegistryError(
                    f"{self.server} does not answer as an MLflow server: check --server"
                ) from error

    def download(self, version: RegisteredVersion, path: str, to: Path, limit: int) -> None:
        """Write one of a version's files to a path of this machine.

        Args:
            version: as :meth:`version` returned it.
            path: below the version's artifact root.
            to: the file to write.
            limit: bytes after which the download is given up.

        Raises:
            RegistryError: no server, no such file, it breaks off, or it is too long.
        """
        query = {"name": version.name, "version": version.version, "path": path}
        with self._get("/model-versions/get-artifact", query) as answer, to.open("wb") as file:
            try:
                for chunk in answer.iter_content(CHUNK):
                    file.write(chunk)
                    if file.tell() > limit:
                        raise RegistryError(f"{path} is longer than the {limit} bytes released")
            except requests.RequestException as error:
                raise RegistryError(f"the download of {path} broke off: pull again") from error

    def _get(self, route: str, query: dict[str, str]) -> requests.Response:
        try:
            answer = self._session.get(
                self.server + route,
                params=query,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                stream=True,
            )
        except (requests.ConnectionError, requests.Timeout) as error:
            raise RegistryError(
                f"no MLflow server answers at {self.server}: check --server and that it runs"
            ) from error
        except requests.RequestException as error:
            raise RegistryError(f"{self.server} is no server's address ({error})") from error
        if answer.status_code in (401, 403):
            raise RegistryError(
                f"{self.server} does not let this user read {query['name']}: set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            )
        if not answer.ok:
            raise RegistryError(f"{self.server}: {_reason(answer)}")
        return answer


def _bearer(token: str):
    def authorise(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return authorise


def _reason(answer: requests.Response) -> str:
    """What the server says went wrong, on one line."""
    try:
        said = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        said = answer.reason or "an error without a reason"
    return f"{' '.join(said.split())} (HTTP {answer.status_code})"
