"""A release: the statement in a version's tags that tells devices what to fetch."""

import json
from pathlib import Path

from mlflow import MlflowClient

from edge.record import sha256_of

RELEASE_TAG = "release"
ARTIFACTS = "artifacts"
"""Where MLflow keeps a pyfunc's files below the version's root."""


def state_release(model: str, version: str, files: list[Path]) -> int:
    """Write the release statement into a version's tags.

    Args:
        model: the registered ONNX model.
        version: the version to release.
        files: the files as they were logged.

    Returns:
        The release number: one more than any release of this model before.
    """
    client = MlflowClient()
    number = 1 + max(
        (_number(v.tags) for v in client.search_model_versions(f"name='{model}'")), default=0
    )
    statement = {
        "release": number,
        "model": model,
        "version": version,
        "files": {
            f"{ARTIFACTS}/{file.name}": {"sha256": sha256_of(file), "bytes": file.stat().st_size}
            for file in files
        },
    }
    client.set_model_version_tag(model, version, RELEASE_TAG, json.dumps(statement))
    return number


def _number(tags: dict[str, str]) -> int:
    return json.loads(tags[RELEASE_TAG])["release"] if RELEASE_TAG in tags else 0
