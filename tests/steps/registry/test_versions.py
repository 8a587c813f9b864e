"""The registry: which version an alias names, and the error if it names none."""

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from steps.errors import RunStep, UserError
from steps.registry.aliases import (
    CHAMPION,
    alias_state,
    number_by_alias,
    require_version,
    version_by_alias,
)
from steps.registry.versions import has_version


@pytest.fixture
def package(store) -> str:
    """A registered model of two versions, the first of them champion."""
    client = MlflowClient()
    client.create_registered_model("package")
    for place in ("one", "two"):
        client.create_model_version("package", f"file:///{place}")
    client.set_registered_model_alias("package", CHAMPION, "1")
    return "package"


def _nothing(client: MlflowClient) -> None:
    pass


def _moved(client: MlflowClient) -> None:
    client.set_registered_model_alias("package", CHAMPION, "2")


def _alias_deleted(client: MlflowClient) -> None:
    client.delete_registered_model_alias("package", CHAMPION)


def _version_deleted(client: MlflowClient) -> None:
    client.delete_model_version("package", "1")


def _model_deleted(client: MlflowClient) -> None:
    client.delete_registered_model("package")


def _another_alias(client: MlflowClient) -> None:
    client.set_registered_model_alias("package", "challenger", "2")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (_nothing, "1"),
        (_another_alias, "1"),
        (_moved, "2"),
        (_alias_deleted, None),
        (_version_deleted, None),
        (_model_deleted, None),
    ],
)
def test_an_alias_names_one_version_or_none(package, change, names):
    change(MlflowClient())
    found = version_by_alias(package, CHAMPION)
    assert (str(found.version) if found else None) == names
    assert number_by_alias(package, CHAMPION) == names
    assert alias_state(package, CHAMPION) == f"package@champion={names}"


@pytest.mark.parametrize(
    ("model", "alias", "only", "argument"),
    [
        ("package", "challenger", ", only champion", "challenger"),
        ("package", "Champion", ", only champion", "Champion"),
    ],
)
def test_a_missing_alias_is_an_error_with_the_step_that_sets_it(
    package, model, alias, only, argument
):
    assert version_by_alias(model, alias) is None
    with pytest.raises(UserError) as caught:
        require_version(model, alias, made_by="promote")
    assert str(caught.value) == f"the registered model {model!r} has no alias {alias!r}{only}"
    assert caught.value.fix == RunStep("promote", {"alias": argument})


def test_a_missing_model_is_an_error_with_the_step_that_makes_it(package):
    with pytest.raises(UserError, match="no registered model 'shoes', or this user may") as caught:
        require_version("shoes", CHAMPION, made_by="promote")
    assert caught.value.fix == RunStep("promote", {"alias": ""})


def test_the_required_version_is_the_one_that_the_alias_names(package):
    found = require_version(package, CHAMPION, made_by="promote")
    assert (found.name, str(found.version), found.source) == ("package", "1", "file:///one")


@pytest.mark.parametrize(
    ("model", "version", "expected"),
    [("package", "1", True), ("package", "2", True), ("package", "3", False), ("x", "1", False)],
)
def test_a_version_is_registered_or_not(package, model, version, expected):
    assert has_version(model, version) is expected


@pytest.mark.parametrize("change", [_version_deleted, _model_deleted])
def test_a_deleted_version_is_no_longer_registered(package, change):
    change(MlflowClient())
    assert not has_version(package, "1")


@pytest.mark.parametrize("ask", [version_by_alias, has_version])
def test_another_failure_of_the_registry_is_no_answer(store, monkeypatch, ask):
    # nothing listens on port 9 (discard), and one try shows it
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    with pytest.raises(MlflowException):
        ask("package", "1")
