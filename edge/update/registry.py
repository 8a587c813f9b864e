"""The model registry of an MLflow server: the version that an alias names, and its files."""

import json
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import urllib3

from edge.protocol.freshness import FRESHNESS_TAG
from edge.protocol.release import RELEASE_TAG, Release, ReleasedFile, ReleaseError
from edge.protocol.rollout import CANARY, CHAMPION, ROLLOUT_TAG, Rollout
from edge.update.errors import RegistryError
from edge.update.server import Server, read_chunks, read_content


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

    def release(self, model: str, alias: str) -> Release:
        """Return the release that the version with an alias states in its tag.

        Raises:
            RegistryError: there is no server, model or alias, or no right to read it.
            ReleaseError: there is no such tag, it is damaged, or it is of another version.
        """
        self._server.start_round()
        return self._stated(model, alias)[0]

    def releases(self, model: str, alias: str, device: str) -> list[Release]:
        """Return the releases that a device may install, the preferred one first.

        The last is the alias's; before it stands that of ``canary``, if a rollout of the champion
        includes the device.

        Raises:
            RegistryError, ReleaseError: as :meth:`release`, for the alias.
        """
        self._server.start_round()
        release, tags = self._stated(model, alias)
        rollout = Rollout.parse(tags.get(ROLLOUT_TAG))
        if (
            not device
            or alias != CHAMPION
            or rollout is None
            or not rollout.includes(device, model)
        ):
            return [release]
        try:
            canary, _ = self._stated(model, CANARY)
        except (RegistryError, ReleaseError):  # of no use now; the champion's is
            return [release]
        return [canary, release] if canary.version == rollout.version else [release]

    def _stated(self, model: str, alias: str) -> tuple[Release, dict[str, str]]:
        """Return the release that the version with an alias states, and the version's tags."""
        route = "/api/2.0/mlflow/registered-models/alias"
        with self._server.get(route, {"name": model, "alias": alias}) as answer:
            try:
                found = json.loads(read_content(answer))["model_version"]
                tags = {tag["key"]: tag.get("value", "") for tag in found.get("tags", [])}
                version = str(found["version"])
            except urllib3.exceptions.HTTPError as error:
                raise RegistryError(f"the answer of {self._server.address} broke off") from error
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                why = f"{self._server.address} does not answer as an MLflow server"
                raise RegistryError(f"{why}: check the address") from error
        name = f"{model} version {version}"
        if RELEASE_TAG not in tags:
            raise ReleaseError(
                f"{name} has no tag {RELEASE_TAG!r}: release it first, "
                "mlflow run . -e promote --env-manager local"
            )
        release = Release.parse(tags[RELEASE_TAG])
        if (release.model, release.version) != (model, version):
            raise ReleaseError(
                f"{name} carries the release statement of {release.model} version {release.version}"
            )
        return replace(release, freshness=tags.get(f"{FRESHNESS_TAG}{alias}", "")), tags

    def download(self, release: Release, file: ReleasedFile, to: Path) -> int:
        """Download one of a release's files, or the rest of it.

        MLflow's server sends the rest only if its artifacts are on its own disk. From an object
        store it sends the full file, and the download starts again.

        Args:
            release: as :meth:`release` returned it.
            file: one of its files.
            to: where to write it; if that exists, it is taken for the beginning.

        Returns:
            The number of bytes downloaded.

        Raises:
            RegistryError: there is no server or file, or the download breaks off or is too slow.
            ReleaseError: the file is longer than released.
        """
        path, limit = file.path, file.bytes
        # MLflow ignores the hash; a cache in front of it tells a replaced file by it
        content = {"sha256": file.sha256, "path": path}
        query = {"name": release.model, "version": release.version, **content}
        have = to.stat().st_size if to.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with self._server.get("/model-versions/get-artifact", query, headers, limit) as answer:
            if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                to.unlink()
                raise RegistryError(f"the server's {path} is shorter than released: pull again")
            is_rest = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            with to.open("ab" if is_rest else "wb") as part:
                begin = part.tell()
                try:
                    for chunk in read_chunks(answer):
                        if part.tell() + len(chunk) > limit:
                            raise ReleaseError(f"{path} is longer than the {limit} bytes released")
                        part.write(chunk)
                except urllib3.exceptions.HTTPError as error:
                    raise RegistryError(f"the download of {path} broke off: pull again") from error
                return part.tell() - begin
