"""A release: the statement in a version's tags that lists what devices fetch; signed with keys."""

import json
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from edge.protocol.release import RELEASE_TAG, Release, ReleaseError, sha256_of
from steps.errors import RunStep, UserError
from steps.release.keys import SigningKeys, sign

ARTIFACTS = "artifacts"
"""The folder of a pyfunc's files in its version."""


def release_version(
    model: str, version: str, files: list[Path], keys: SigningKeys | None = None
) -> int:
    """Write the release statement into a version's tags.

    Args:
        model: the registered ONNX model.
        version: the version to release.
        files: the files as they were logged.
        keys: each signs the statement; without any it is unsigned, with a warning.

    Returns:
        The release number: one more than any release of this model before. Hold
        :func:`steps.registry.alias_lock.lock_aliases`, so that no other run takes the same.
    """
    statement_files = {
        f"{ARTIFACTS}/{file.name}": {"sha256": sha256_of(file), "bytes": file.stat().st_size}
        for file in files
    }
    return _write_statement(model, version, statement_files, keys or [])


def release_again(version: ModelVersion, keys: SigningKeys) -> int:
    """Release a version again, under the next number, so that devices go back to it.

    Raises:
        UserError: the version was never released.
    """
    if RELEASE_TAG not in version.tags:
        raise UserError(
            f"version {version.version} of {version.name} was never released", RunStep("export")
        )
    files = json.loads(version.tags[RELEASE_TAG])["files"]
    return _write_statement(version.name, str(version.version), files, keys)


def release_changed(version: ModelVersion, changed: Path, is_kept: bool, keys: SigningKeys) -> int:
    """Release a version again because one of its files changed.

    Args:
        version: that was released.
        changed: the file as it is now.
        is_kept: whether devices still get it.
        keys: each signs the statement.
    """
    files = json.loads(version.tags[RELEASE_TAG])["files"]
    path = f"{ARTIFACTS}/{changed.name}"
    files[path] = {"sha256": sha256_of(changed), "bytes": changed.stat().st_size}
    if not is_kept:
        del files[path]
    return _write_statement(version.name, str(version.version), files, keys)


def fetch_files(version: ModelVersion, into: Path) -> Path:
    """Download a version's files; return their folder below ``into``.

    Raises:
        UserError: the version is released, and a file differs from its statement.
    """
    uri = f"models:/{version.name}/{version.version}/{ARTIFACTS}"
    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(into)))
    try:
        if RELEASE_TAG in version.tags:
            Release.parse(version.tags[RELEASE_TAG]).require_files(folder)
    except ReleaseError as error:
        named = f"version {version.version} of {version.name}"
        raise UserError(f"{named}: {error}; release another", RunStep("export")) from error
    return folder


def _write_statement(model: str, version: str, files: dict[str, Any], keys: SigningKeys) -> int:
    client = MlflowClient()
    previous = int(client.get_registered_model(model).tags.get(RELEASE_TAG, 0))
    number = previous + 1
    stated = {"release": number, "previous": previous, "model": model, "version": version}
    statement = sign(stated | {"files": files}, keys)
    # the number first: an interruption in between skips a number, but never uses one twice
    client.set_registered_model_tag(model, RELEASE_TAG, str(number))
    client.set_model_version_tag(model, version, RELEASE_TAG, json.dumps(statement))
    return number
