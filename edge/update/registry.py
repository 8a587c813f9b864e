"""The model registry of an MLflow server: the version that an alias names, and its files."""

import json
from dataclasses import dataclass
from pathlib import Path

import urllib3

from edge.update.faultpoints import UpdateStep, reached
from edge.update.server import NOTHING_LEFT, RegistryError, Server, content, pieces


class LongerError(RegistryError):
    """A file is longer than what was released."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model: its name, its version, and the version's tags."""

    name: str
    version: str
    tags: dict[str, str]


class Registry:
    """Reads a registry with no more than the right to read.

    Args:
        server: the server's address, such as ``http://mlflow.local:5000``; who asks is taken from
            the environment (:class:`edge.update.server.Server`).

    Raises:
        RegistryError: the environment contradicts itself, or names a file that does not exist.
    """

    def __init__(self, server: str):
        self._server = Server(server)

    def version(self, name: str, alias: str) -> RegisteredVersion:
        """The version that an alias points at.

        Raises:
            RegistryError: no server, no such model or alias, or no right to read it.
        """
        with self._server.get(
            "/api/2.0/mlflow/registered-models/alias", {"name": name, "alias": alias}
        ) as answer:
            try:
                found = json.loads(content(answer))["model_version"]
                tags = {tag["key"]: tag.get("value", "") for tag in found.get("tags", [])}
                return RegisteredVersion(found["name"], str(found["version"]), tags)
            except (TimeoutError, urllib3.exceptions.HTTPError) as error:
                raise RegistryError(f"the answer of {self._server.address} broke off") from error
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise RegistryError(
                    f"{self._server.address} does not answer as an MLflow server: check the address"
                ) from error

    def download(self, version: RegisteredVersion, path: str, to: Path, limit: int) -> int:
        """Write one of a version's files to a path of this machine, from where it broke off.

        The server is asked for the rest alone. MLflow's gives it where the artifacts lie on a
        disk of its own; from an object store it gives the whole file, which then begins anew.

        Args:
            version: as :meth:`version` returned it.
            path: below the version's artifact root.
            to: the file to write; what is there already is taken for the beginning.
            limit: bytes after which the download is given up.

        Returns:
            The bytes that came.

        Raises:
            RegistryError: no server, no such file, it breaks off, or it is too slow.
            LongerError: it is longer than ``limit``.
        """
        query = {"name": version.name, "version": version.version, "path": path}
        have = to.stat().st_size if to.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with self._server.get("/model-versions/get-artifact", query, headers) as answer:
            if answer.status_code == NOTHING_LEFT:
                to.unlink()
                raise RegistryError(f"the server's {path} is shorter than released: pull again")
            rest = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            with to.open("ab" if rest else "wb") as file:
                begin = file.tell()
                try:
                    for piece in pieces(answer, limit):
                        if file.tell() + len(piece) > limit:
                            raise LongerError(f"{path} is longer than the {limit} bytes released")
                        file.write(piece)
                        reached(UpdateStep.PART_FETCHED)
                except TimeoutError as error:
                    raise RegistryError(f"the download of {path} {error}: pull again") from error
                except urllib3.exceptions.HTTPError as error:
                    raise RegistryError(f"the download of {path} broke off: pull again") from error
                return file.tell() - begin
