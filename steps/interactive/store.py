"""The tracking store of each Pipeline of a kernel: MLflow has one for the process."""

import os
from typing import cast

import mlflow

from steps.pipeline.tracking_store import use_tracking_store
from steps.settings.profile import Profile

VARIABLE = "MLFLOW_TRACKING_URI"

_variable: dict[str, str | None] = {"own": None, "set": None}
"""The variable's value as the kernel's own, and as it was set here since."""


def restore_own_store() -> None:
    """Point MLflow at the store of the kernel's own environment, as before any Pipeline."""
    _remember_own()
    _point_at(_variable["own"])


def open_store(profile: Profile) -> str:
    """Point a notebook's MLflow at the store of a Pipeline's profile, and return its URI."""
    _variable["set"] = uri = use_tracking_store(profile)
    return uri


def use_store(uri: str) -> None:
    """Point a notebook's MLflow, and steps that start now, at a store of :func:`open_store`."""
    _remember_own()
    _point_at(uri)


def _remember_own() -> None:
    if (now := os.environ.get(VARIABLE)) != _variable["set"]:
        _variable["own"] = now


def _point_at(uri: str | None) -> None:
    mlflow.set_tracking_uri(cast(str, uri))  # which takes None, for the environment's
    if uri is not None:
        os.environ[VARIABLE] = uri  # MLflow sets it only if it points elsewhere until now
    _variable["set"] = uri
