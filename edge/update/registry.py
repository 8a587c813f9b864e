"""The model registry of an MLflow server: the version that an alias names, and its files."""

import json
from dataclasses import dataclass
from pathlib import Path

import urllib3

from edge.protocol.release import RELEASE_TAG, Release, ReleaseError
from edge.update.server import (
    RANGE_NOT_SATISFIABLE,
    RegistryError,
    Server,
    read_chunks,
    read_content,
)


class TooLongError(RegistryError):
    """A file is longer than its release states."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model: the model's name, the version, and its tags."""

    name: str
    version: str
    tags: dict[str, str]

    def read_release(self) -> Release:
        """Return the release that the version's tag states.

        Raises:
            ReleaseError: there is no such tag, it is damaged, or it is of another version.
        """
        name = f"{self.name} version {self.version}"
        if RELEASE_TAG not in self.tags:
            raise ReleaseError(
                f"{name} has no tag {RELEASE_TAG!r}: release it first, "
                "mlflow run . -e promote --env-manager local"
            )
        release = Release.parse(self.tags[RELEASE_TAG])
        if (release.model, release.version) != (self.name, self.version):
            raise ReleaseError(
                f"{name} carries the release statement of {release.model} version {release.version}"
            )
        return release


class Registry:
    """A client of the registry, which needs no more than the right to read.

    Args:
        server: the server's address, such as ``http://mlflow.local:5000``; the user comes from
            the environment (:class:`edge.update.server.Server`).

    Raises:
        RegistryError: the environment contradicts itself, or names a file that does not exist.
    """

    def __init__(self, server: str):
        self._server = Server(server)

    def version(self, name: str, alias: str) -> RegisteredVersion:
        """Return the version that an alias points to.

        Raises:
            RegistryError: there is no server, model or alias, or no right to read it.
        """
        route = "/api/2.0/mlflow/registered-models/alias"
        with self._server.get(route, {"name": name, "alias": alias}) as answer:
            try:
                found = json.loads(read_content(answer))["model_version"]
                tags = {tag["key"]: tag.get("value", "") for tag in found.get("tags", [])}
                return RegisteredVersion(name, str(found["version"]), tags)
            except (TimeoutError, urllib3.exceptions.HTTPError) as error:
                raise RegistryError(f"the answer of {self._server.address} broke off") from error
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                why = f"{self._server.address} does not answer as an MLflow server"
                raise RegistryError(f"{why}: check the address") from error

    def download(self, version: RegisteredVersion, path: str, to: Path, limit: int) -> int:
        """Download one of a version's files, or the rest of it.

        MLflow's server sends the rest only if its artifacts are on its own disk. From an object
        store it sends the full file, and the download starts again.

        Args:
            version: as :meth:`version` returned it.
            path: below the version's artifact root.
            to: the file to write; if it exists, it is taken for the beginning.
            limit: the highest number of bytes.

        Returns:
            The number of bytes downloaded.

        Raises:
            RegistryError: there is no server or file, or the download breaks off or is too slow.
            TooLongError: the file is longer than ``limit``.
        """
        query = {"name": version.name, "version": version.version, "path": path}
        have = to.stat().st_size if to.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with self._server.get("/model-versions/get-artifact", query, headers) as answer:
            if answer.status_code == RANGE_NOT_SATISFIABLE:
                to.unlink()
                raise RegistryError(f"the server's {path} is shorter than released: pull again")
            is_rest = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            with to.open("ab" if is_rest else "wb") as file:
                begin = file.tell()
                try:
                    for chunk in read_chunks(answer, limit):
                        if file.tell() + len(chunk) > limit:
                            raise TooLongError(f"{path} is longer than the {limit} bytes released")
                        file.write(chunk)
                except TimeoutError as error:
                    raise RegistryError(f"the download of {path} {error}: pull again") from error
                except urllib3.exceptions.HTTPError as error:
                    raise RegistryError(f"the download of {path} broke off: pull again") from error
                return file.tell() - begin
