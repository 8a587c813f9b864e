"""A step that another one runs: where it runs, what it is given, what it leaves where it fails."""

import os
from dataclasses import replace
from types import SimpleNamespace

import mlflow
import pytest
from bakery import BURNT, STEP, Parameters, baked, kept, mill
from mlflow.exceptions import ExecutionException

from steps.errors import UserError
from steps.pipeline.entry_point import run_apart, run_entry_point
from steps.pipeline.runs import experiment_id
from steps.settings.parameters import parse_parameters
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
def test_a_process_is_given_what_differs_from_its_defaults(submitted, chosen, given):
    run_id = run_apart("bake", Parameters(**chosen).non_default())
    assert run_id == mlflow.active_run().info.run_id
    assert submitted["parameters"] == given
    assert (submitted["entry_point"], submitted["uri"]) == ("bake", str(PROJECT))
    assert submitted["experiment_id"] == experiment_id()
    assert parse_parameters(
        Parameters, "bake", [f"--{k}={v}" for k, v in given.items()]
    ) == Parameters(**chosen)


def test_a_process_that_fails_ends_with_an_error_of_mlflow(submitted):
    with pytest.raises(ExecutionException):
        run_apart("bake", {"minutes": "60"})


def test_a_step_in_this_process_is_a_nested_run_that_keeps_the_contract(store, capsys):
    milled, parameters = mill(), Parameters(minutes=45)
    with mlflow.start_run() as above:
        found = run_entry_point(STEP, parameters)
        assert mlflow.active_run().info.run_id == above.info.run_id
    assert capsys.readouterr().out == "in the oven\n"  # the last line is the pipeline's
    assert (found.info.status, found.info.run_name) == ("FINISHED", "bake")
    nested = found.data.tags
    assert nested["mlflow.parentRunId"] == above.info.run_id
    STEP.main(["--minutes", "45"])
    alone = baked()[0].data.tags
    own = [{k: v for k, v in t.items() if not k.startswith("mlflow.")} for t in (nested, alone)]
    assert own[0] == own[1] and own[0]["input.mill"] == milled
    assert found.data.params == baked()[0].data.params
    assert kept(found).keys() == kept(baked()[0]).keys()


@pytest.mark.parametrize(
    ("minutes", "error", "said", "status"),
    [
        (60, ExecutionException, f"bake: {BURNT}", "FAILED"),
        (59, ExecutionException, "ZeroDivisionError", "FAILED"),
        (61, KeyboardInterrupt, "bake: stopped; resume with: ", "KILLED"),
    ],
)
def test_a_step_in_this_process_that_ends_early(
    store, capsys, caplog, minutes, error, said, status
):
    mill()
    with mlflow.start_run() as above:
        with pytest.raises(error):
            run_entry_point(STEP, Parameters(minutes=minutes))
        assert mlflow.active_run().info.run_id == above.info.run_id
    assert said in caplog.text + capsys.readouterr().err
    assert baked()[0].info.status == status


def test_a_step_leaves_the_environment_as_it_was(store, monkeypatch):
    monkeypatch.setenv("OVEN", "cold")

    def heat(parameters, profile) -> str:
        os.environ.update(OVEN="hot", LIGHT="on")
        if parameters.minutes == 50:
            raise UserError("too hot")
        return ""

    mill()
    with mlflow.start_run():
        run_entry_point(replace(STEP, state=heat), Parameters())
        assert os.environ["OVEN"] == "cold" and "LIGHT" not in os.environ
        with pytest.raises(ExecutionException):
            run_entry_point(replace(STEP, state=heat), Parameters(minutes=50))
    assert os.environ["OVEN"] == "cold" and "LIGHT" not in os.environ
