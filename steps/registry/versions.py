"""Registered versions, the aliases that name them, and the tags that say what became of them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from steps.endings import Result
from steps.errors import RunAgain, RunStep, UserError
from steps.settings.parameters import RELEASED

if TYPE_CHECKING:
    import keras

CHAMPION = "champion"
CHALLENGER = "challenger"

COMPARED = "promotion"
"""Tag of a version: the result of its comparison with the champion."""
REFUSED = "refused: "
"""With which that result begins if the version was not promoted."""
WITHDRAWN = "withdrawn"
"""Tag of a version that was rolled back by hand: no comparison promotes it again."""


def find(ask: Callable[..., Any], *arguments: str, missing: tuple[str, ...] = ()) -> Any:
    """Ask the tracking store; return None if the thing asked for does not exist.

    Args:
        ask: a method of ``MlflowClient``.
        arguments: of the method.
        missing: error codes that also mean that the thing does not exist.
    """
    try:
        return ask(*arguments)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", *missing):
            return None
        raise


def released_as(model: str) -> str:
    """Return the registered model under which a Keras model is released, as ONNX."""
    return model + RELEASED


def source_of(released: ModelVersion) -> tuple[str, str]:
    """Return name and number of the version that was released as this one: what people read."""
    return released.tags["keras_model"], released.tags["keras_version"]


def is_released(model: str, alias: str) -> bool:
    """Return whether devices that follow an alias have its version, as ONNX."""
    version = version_by_alias(model, alias)
    return version is not None and "onnx_version" in version.tags


def version_by_alias(model: str, alias: str) -> ModelVersion | None:
    """Return the version that an alias names; None if there is no such model or alias."""
    ask = MlflowClient().get_model_version_by_alias
    return find(ask, model, alias, missing=("INVALID_PARAMETER_VALUE",))


def number_by_alias(model: str, alias: str) -> str | None:
    """Return the number of the version that an alias names; None if there is none."""
    version = version_by_alias(model, alias)
    return str(version.version) if version else None


def require_version(model: str, alias: str, made_by: str) -> ModelVersion:
    """Return the version that an alias names.

    Args:
        model: the registered model's name.
        alias: such as ``champion``.
        made_by: the step that sets the alias, which the error names.

    Raises:
        UserError: there is no such model or alias.
    """
    version = version_by_alias(model, alias)
    if version is None:
        raise _missing_error(model, alias, made_by)
    return version


def _missing_error(model: str, alias: str, made_by: str) -> UserError:
    """Return the error of an alias that no step has set, or that one has refused to set."""
    argument = alias_argument(alias)
    source = model.removesuffix(RELEASED)
    refused = version_by_alias(source, CHALLENGER)
    compared = refused.tags.get(COMPARED, "") if refused else ""
    if refused and compared.startswith(REFUSED) and version_by_alias(source, alias) is None:
        return UserError(
            f"no model yet: {source} {refused.version} was {compared}; to use it as it is",
            RunStep("promote", {"version": str(refused.version), "alias": argument}),
            Result.NO_MODEL,
        )
    registered = find(MlflowClient().get_registered_model, model)
    others = ", ".join(sorted(registered.aliases)) if registered else ""
    return UserError(
        f"the registered model {model!r} has no alias {alias!r}"
        + (f", only {others}" if others else ""),
        RunStep(made_by, {"alias": argument}),
    )


def require_version_number(model: str, version: str) -> ModelVersion:
    """Return a version by its number.

    Raises:
        UserError: there is no such version, or it is incomplete.
    """
    found = find(MlflowClient().get_model_version, model, version)
    if found is None:
        raise UserError(
            f"the registered model {model!r} has no version {version}; list them with: mlflow ui"
        )
    if found.status != "READY":
        raise UserError(
            f"version {version} of {model} is incomplete ({found.status}): register it again"
        )
    return found


def has_version(model: str, version: str) -> bool:
    """Return whether a version is registered."""
    return find(MlflowClient().get_model_version, model, version) is not None


def moved_reason(model: str, version: str | None, alias: str) -> str | None:
    """Return that an alias no longer names a version (None: none); None if it does."""
    if number_by_alias(model, alias) == version:
        return None
    return f"{model}@{alias} no longer names " + (f"version {version}" if version else "none")


def not_kept_error(version: ModelVersion) -> UserError:
    """Return the error of a version that the artifact store has not kept as it was written.

    An alias must not name such a version, so a step reads it back before it sets one.
    """
    name = f"version {version.version} of {version.name}"
    message = f"the artifact store returns {name} otherwise than it was written; check the store"
    return UserError(message, RunAgain())


def alias_state(model: str, alias: str) -> str:
    """Return which version an alias names now, as text for a cache key."""
    return f"{model}@{alias}={number_by_alias(model, alias)}"


def alias_argument(alias: str) -> str:
    """Return an alias as an argument of a command: empty for the default, ``champion``."""
    return "" if alias == CHAMPION else alias


def load_keras(version: ModelVersion) -> "keras.Model":
    """Load the Keras model of a registered version."""
    return mlflow.tensorflow.load_model(f"models:/{version.name}/{version.version}")


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
