"""Reference images of released models: those that are erased go, and the version is released again.

Only their file changes; devices keep the network and get the new file.
"""

import logging
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from edge.inference.reference_images import REFERENCE_IMAGES_FILE, ReferenceImages
from edge.protocol.release import RELEASE_TAG, Release, sha256_of
from steps.registry.alias_lock import lock_aliases
from steps.registry.versions import versions_of
from steps.release.freshness import FRESH_DAYS, renew_freshness
from steps.release.keys import SigningKeys
from steps.release.statement import ARTIFACTS, release_changed

logger = logging.getLogger("steps")


@dataclass(frozen=True)
class ReferenceFile:
    """The file of a logged model's reference images, from which some are erased.

    Attributes:
        location: of the model's artifacts.
        version: under which it is registered; None if it is not.
        path: a copy of the file, changed here and not yet there.
        removed: images that are not in it any more.
        left: images that are.
        hash: SHA-256 of the file as devices have it; empty if it is not released.
    """

    location: str
    version: ModelVersion | None
    path: Path
    removed: int
    left: int
    hash: str

    def erase(self, keys: SigningKeys, run_id: str, days: float = FRESH_DAYS) -> None:
        """Replace the file, and release the version again, as the newest for some days."""
        get_artifact_repository(self.location).log_artifact(str(self.path), ARTIFACTS)
        if self.version is None or not self.hash:
            return
        with lock_aliases(self.version.name, run_id):
            number = release_changed(self.version, self.path, self.left > 0, keys)
            renew_freshness(self.version.name, lambda: keys, days)
        named = f"{self.version.name} version {self.version.version}"
        logger.info("%s is release %d now, with %d reference images", named, number, self.left)


def find_reference_files(images: Collection[str], until_end: ExitStack) -> list[ReferenceFile]:
    """Return the files with an image of these, or one of which it is not known of what it is.

    A file that an interrupted erasure replaced without releasing it is one of them. Versions that
    an alias names are last, so that their release has the highest number.

    Args:
        images: their sha256.
        until_end: keeps the copies.
    """
    folder = Path(until_end.enter_context(tempfile.TemporaryDirectory()))
    client = MlflowClient()
    experiments = [one.experiment_id for one in client.search_experiments()]
    versions, named = {}, set()
    for model in client.search_registered_models(max_results=1000):
        aliased = set(map(str, client.get_registered_model(model.name).aliases.values()))
        for version in versions_of(model.name):
            model_id = version.source.rpartition("/")[2]  # of models:/<ID of the logged model>
            versions[model_id] = version
            if str(version.version) in aliased:
                named.add(model_id)
    logged = mlflow.search_logged_models(experiments, output_format="list")
    logged.sort(key=lambda model: (model.model_id in named, model.creation_timestamp))
    return [
        file
        for model in logged
        for file in _affected(
            *(model.artifact_location, versions.get(model.model_id), images),
            folder / model.model_id,
        )
    ]


def _affected(
    location: str, version: ModelVersion | None, images: Collection[str], folder: Path
) -> Iterator[ReferenceFile]:
    folder.mkdir()
    try:
        path = f"{ARTIFACTS}/{REFERENCE_IMAGES_FILE}"
        file = Path(get_artifact_repository(location).download_artifacts(path, str(folder)))
    except (MlflowException, OSError):  # another kind of model
        return
    before = ReferenceImages.parse(file.read_bytes()).images
    kept = [one for one in before if one.sha256 and one.sha256 not in images]
    stated = ""
    if version and RELEASE_TAG in version.tags:
        released = Release.parse(version.tags[RELEASE_TAG]).files
        stated = next((one.sha256 for one in released if one.name == REFERENCE_IMAGES_FILE), "")
    removed = len(before) - len(kept)
    if removed or (stated and stated != sha256_of(file)):
        ReferenceImages(tuple(kept)).write(file.parent)
        yield ReferenceFile(location, version, file, removed, len(kept), stated)
