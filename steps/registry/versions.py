"""The model registry: versions, aliases, and the way back from a version to its run."""

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from steps.errors import RunStep, UserError

CHAMPION = "champion"
CHALLENGER = "challenger"


def released_as(model: str) -> str:
    """The registered model under which a Keras model is released, as ONNX."""
    return f"{model}-onnx"


def version_by_alias(model: str, alias: str) -> ModelVersion | None:
    """The version that an alias names; None where there is no such model or alias."""
    try:
        return MlflowClient().get_model_version_by_alias(model, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def number_by_alias(model: str, alias: str) -> str | None:
    """The number of the version that an alias names; None where there is no such model or alias."""
    version = version_by_alias(model, alias)
    return str(version.version) if version else None


def require_version(model: str, alias: str, made_by: str) -> ModelVersion:
    """The version that an alias names.

    Args:
        model: the registered model's name.
        alias: such as ``champion``.
        made_by: the step that sets the alias, named where it is missing.

    Raises:
        UserError: there is no such model or alias.
    """
    version = version_by_alias(model, alias)
    if version is None:
        others = ", ".join(sorted(_aliases(model)))
        raise UserError(
            f"the registered model {model!r} has no alias {alias!r}"
            + (f", only {others}" if others else ""),
            RunStep(made_by, {"alias": alias_argument(alias)}),
        )
    return version


def _aliases(model: str) -> dict[str, str]:
    try:
        return MlflowClient().get_registered_model(model).aliases
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}


def require_version_number(model: str, version: str) -> ModelVersion:
    """A version by its number.

    Raises:
        UserError: there is no such version, or it is not whole.
    """
    try:
        found = MlflowClient().get_model_version(model, version)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise UserError(
            f"the registered model {model!r} has no version {version}; see them in: mlflow ui"
        ) from error
    if found.status != "READY":
        raise UserError(
            f"version {version} of {model} is not whole ({found.status}): register it again"
        )
    return found


def alias_state(model: str, alias: str) -> str:
    """Which version an alias names now, as text for a cache key."""
    return f"{model}@{alias}={number_by_alias(model, alias)}"


def alias_argument(alias: str) -> str:
    """An alias as commands name it: not at all where it is the default, ``champion``."""
    return "" if alias == CHAMPION else alias


def load_keras(version: ModelVersion):
    """The Keras model of a registered version."""
    return mlflow.tensorflow.load_model(f"models:/{version.name}/{version.version}")


def has_version(model: str, version: str) -> bool:
    """Whether a version is still registered."""
    try:
        MlflowClient().get_model_version(model, version)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True
