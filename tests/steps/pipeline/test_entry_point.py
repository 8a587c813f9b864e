"""What an entry point is given when another one runs it, and what is said where it fails."""

import os
from types import SimpleNamespace

import mlflow
import pytest
from bakery import Parameters
from mlflow.exceptions import ExecutionException

from steps.pipeline.entry_point import run_entry_point
from steps.pipeline.runs import experiment_id
from steps.settings.parameters import parse
from steps.settings.profile import PROJECT


@pytest.fixture
def submitted(store, monkeypatch) -> dict:
    """What is handed to MLflow's projects; no process is started."""
    given = {}

    def run(uri, **options):
        given.update(options, uri=uri)
        if options["parameters"].get("minutes") == "60":
            raise ExecutionException("Run failed")
        return SimpleNamespace(run_id=mlflow.active_run().info.run_id)

    monkeypatch.setattr(mlflow.projects, "run", run)
    # the folder of this Python is put before the others, which has to be undone
    monkeypatch.setenv("PATH", os.environ["PATH"])
    with mlflow.start_run():
        yield given


@pytest.mark.parametrize(
    ("chosen", "given"),
    [
        ({}, {}),
        ({"minutes": 40, "degrees": None, "mill_run_id": "latest"}, {}),
        ({"minutes": 41, "mill_run_id": "1"}, {"minutes": "41", "mill_run_id": "1"}),
        ({"degrees": 220.5, "debug": True}, {"degrees": "220.5", "debug": "True"}),
    ],
)
def test_an_entry_point_is_given_what_differs_from_its_defaults(submitted, chosen, given):
    found = run_entry_point("bake", Parameters(**chosen))
    assert found.info.run_id == mlflow.active_run().info.run_id
    assert submitted["parameters"] == given
    assert (submitted["entry_point"], submitted["uri"]) == ("bake", str(PROJECT))
    assert submitted["experiment_id"] == experiment_id()
    assert parse(Parameters, "bake", [f"--{k}={v}" for k, v in given.items()]) == Parameters(
        **chosen
    )


def test_a_step_that_fails_ends_with_an_error_of_mlflow(submitted):
    with pytest.raises(ExecutionException):
        run_entry_point("bake", Parameters(minutes=60))
