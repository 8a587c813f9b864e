"""The tags by which a version tells readers of the registry what became of it."""

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from steps.registry.versions import COMPARED

WITHDRAWN = "withdrawn"
"""Tag of a version that was rolled back by hand: no comparison promotes it again."""


def note_comparison(version: ModelVersion, result: str, run_id: str) -> None:
    """Write the result of a comparison on the version, and the run that compared."""
    client = MlflowClient()
    client.set_model_version_tag(version.name, version.version, COMPARED, result)
    client.set_model_version_tag(version.name, version.version, "run.promote", run_id)
    client.update_model_version(version.name, version.version, description=result)


def withdraw(version: ModelVersion, before: str | None, reason: str) -> None:
    """Mark the champion before as withdrawn if this is a way back, and the new one as not."""
    client = MlflowClient()
    if before and int(before) > int(version.version):
        client.set_model_version_tag(version.name, before, WITHDRAWN, reason)
    if WITHDRAWN in version.tags:
        client.delete_model_version_tag(version.name, version.version, WITHDRAWN)
