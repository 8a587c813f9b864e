"""The tracking store: whose word counts, and that every process finds the same one."""

import os
import shutil

import mlflow
import pytest

from steps.pipeline.report import run_address
from steps.pipeline.tracking_store import absolute_store_uri, use_tracking_store
from steps.settings.profile import Profile, load_profile

SERVER = "http://127.0.0.1:5000"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, in which MLflow knows of no store; afterwards all is as before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # so that it is put back afterwards
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(None)
    yield tmp_path
    mlflow.set_tracking_uri(None)


def profile_with(tracking_uri: str | None) -> Profile:
    """The local profile, with another store."""
    return load_profile("local").model_copy(update={"tracking_uri": tracking_uri})


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///mlflow.db", "sqlite:///{here}/mlflow.db"),
        ("sqlite:///deep/../mlflow.db", "sqlite:///{here}/mlflow.db"),
        ("sqlite:////srv/mlflow.db", "sqlite:////srv/mlflow.db"),
        (SERVER, SERVER),
        ("https://user@host/path", "https://user@host/path"),
        ("postgresql://host/mlflow", "postgresql://host/mlflow"),
        ("databricks", "databricks"),
    ],
)
def test_only_a_sqlite_file_is_made_absolute(here, uri, expected):
    assert absolute_store_uri(uri) == expected.format(here=here)
    assert absolute_store_uri(absolute_store_uri(uri)) == absolute_store_uri(uri)


@pytest.mark.parametrize(
    ("profiles", "environments", "expected"),
    [
        (None, None, "sqlite:///{here}/mlflow.db"),
        (None, SERVER, SERVER),
        (None, "sqlite:///own.db", "sqlite:///{here}/own.db"),
        (SERVER, None, SERVER),
        (SERVER, "sqlite:///own.db", SERVER),
        ("sqlite:///team.db", SERVER, "sqlite:///{here}/team.db"),
    ],
)
def test_the_profile_counts_then_the_environment_then_the_default(
    here, monkeypatch, profiles, environments, expected
):
    if environments:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", environments)
    expected = expected.format(here=here)
    assert use_tracking_store(profile_with(profiles)) == expected
    assert mlflow.get_tracking_uri() == expected
    assert os.environ["MLFLOW_TRACKING_URI"] == expected


@pytest.mark.parametrize(
    ("profiles", "environments", "kept"),
    [
        (None, "sqlite:///own.db", True),
        ("sqlite:///own.db", "sqlite:///own.db", True),
        ("sqlite:///own.db", "sqlite:///{here}/own.db", True),
        ("sqlite:///{here}/own.db", "sqlite:///own.db", True),
        (SERVER, SERVER, True),
        (SERVER, "sqlite:///own.db", False),
        ("sqlite:///team.db", "sqlite:///{here}/own.db", False),
        (SERVER, None, False),
    ],
)
def test_a_run_that_is_open_counts_only_in_the_same_store(
    here, monkeypatch, profiles, environments, kept
):
    if environments:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", environments.format(here=here))
    monkeypatch.setenv("MLFLOW_RUN_ID", "1" * 32)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    use_tracking_store(profile_with(profiles and profiles.format(here=here)))
    for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        assert (variable in os.environ) == kept


def test_the_second_call_finds_the_same_store_from_another_folder(here, monkeypatch, tmp_path):
    first = use_tracking_store(profile_with(None))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert use_tracking_store(profile_with(None)) == first


@pytest.mark.parametrize("password", ["secret", "sec/ret", "sec ret"])
def test_a_link_to_a_run_says_no_password(here, empty_store, password):
    shutil.copy(empty_store, here)
    mlflow.set_tracking_uri(f"sqlite:///{here}/mlflow.db")
    with mlflow.start_run() as run:
        experiment = run.info.experiment_id
        mlflow.set_tracking_uri(f"https://me:{password}@lake:5000/")
        assert run_address("abc") == f"https://lake:5000/#/experiments/{experiment}/runs/abc"
        mlflow.set_tracking_uri(f"sqlite:///{here}/mlflow.db")
