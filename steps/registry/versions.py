"""Registered versions: their networks, trainings, and the tags that say what became of them."""

from typing import TYPE_CHECKING

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel

from steps.errors import RunAgain, UserError
from steps.pipeline.outputs import TrainOutputs
from steps.pipeline.run_files import read_outputs
from steps.pipeline.tracking_store import ask_store

if TYPE_CHECKING:
    import keras

HIDDEN = "PERMISSION_DENIED"
"""What a server with users answers if there is no such model, or none that this user may read."""

COMPARED = "promotion"
"""Tag of a version: the result of its comparison with the champion."""
REFUSED = "refused: "
"""With which that result begins if the version was not promoted."""
ACCEPTED = "accepted_shortcut"
"""Tag of a version that follows a shortcut and was promoted all the same: why."""
WITHDRAWN = "withdrawn"
"""Tag of a version that was rolled back by hand, or that its rollout took back: no comparison
promotes it again."""
TRAINED_BY, SOURCE, DELTA_VERSION = "run.train", "source", "delta_version"
"""Tags of a version: the run that trained it, on which landing zone, at which table version."""
ONNX_VERSION = "onnx_version"
"""Tag of a version that was exported: the number of its ONNX model."""
KERAS_MODEL, KERAS_VERSION = "keras_model", "keras_version"
"""Tags of an ONNX model's version: what it was exported from."""


def source_of(released: ModelVersion) -> tuple[str, str]:
    """Return name and number of the version that was released as this one: what people read."""
    return released.tags[KERAS_MODEL], released.tags[KERAS_VERSION]


def onnx_version(version: ModelVersion) -> str | None:
    """Return the number of a version's ONNX model; None if it was never exported."""
    number = version.tags.get(ONNX_VERSION)
    return None if number is None else str(number)


def trained_source(version: ModelVersion) -> str:
    """Return the landing zone whose images trained a version."""
    return str(version.tags[SOURCE])


def require_version_number(model: str, version: str) -> ModelVersion:
    """Return a version by its number.

    Raises:
        UserError: there is no such version, or it is incomplete.
    """
    found = ask_store(MlflowClient().get_model_version, model, version)
    if found is None:
        raise UserError(
            f"the registered model {model!r} has no version {version}; list them with: mlflow ui"
        )
    if found.status != "READY":
        raise UserError(
            f"version {version} of {model} is incomplete ({found.status}): register it again"
        )
    return found


def find_registered(model: str) -> RegisteredModel | None:
    """Return a registered model; None if there is none that this user may read."""
    return ask_store(MlflowClient().get_registered_model, model, missing=(HIDDEN,))


def versions_of(model: str) -> list[ModelVersion]:
    """Return all versions of a registered model, with their tags."""
    client = MlflowClient()
    return [
        found
        if isinstance(found.tags, dict)  # Unity Catalog's search gives none
        else client.get_model_version(model, found.version)
        for found in client.search_model_versions(f"name = '{model}'")
    ]


def has_version(model: str, version: str) -> bool:
    """Return whether a version is registered."""
    return ask_store(MlflowClient().get_model_version, model, version) is not None


def not_kept_error(version: ModelVersion) -> UserError:
    """Return the error of a registered version that the artifact store has not kept as written.

    An alias must not name such a version, so a step reads it back before it sets one.
    """
    name = f"version {version.version} of {version.name}"
    message = f"the artifact store returns {name} otherwise than it was written; check the store"
    return UserError(message, RunAgain())


def load_keras(version: ModelVersion) -> "keras.Model":
    """Load the Keras model of a registered version."""
    return mlflow.tensorflow.load_model(f"models:/{version.name}/{version.version}")


def read_training(version: ModelVersion) -> TrainOutputs:
    """Return the outputs of the run that trained a registered version."""
    return read_outputs(version.tags[TRAINED_BY], TrainOutputs)


def note_comparison(version: ModelVersion, result: str, run_id: str) -> None:
    """Write the result of a comparison on the version, and the run that compared."""
    client = MlflowClient()
    client.set_model_version_tag(version.name, version.version, COMPARED, result)
    client.set_model_version_tag(version.name, version.version, "run.promote", run_id)
    client.update_model_version(version.name, version.version, description=result)


def tag_accepted_shortcut(version: ModelVersion, reason: str) -> None:
    """Write on a version why it is promoted although it follows a shortcut."""
    MlflowClient().set_model_version_tag(version.name, version.version, ACCEPTED, reason)


def withdraw(version: ModelVersion, before: str | None, reason: str) -> None:
    """Mark the champion before as withdrawn if this is a way back, and the new one as not."""
    client = MlflowClient()
    if before and int(before) > int(version.version):
        client.set_model_version_tag(version.name, before, WITHDRAWN, reason)
    if WITHDRAWN in version.tags:
        client.delete_model_version_tag(version.name, version.version, WITHDRAWN)
