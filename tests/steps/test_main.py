"""The chain's command line: whose parameter is whose, and what an entry point is given."""

import os
from types import SimpleNamespace

import mlflow
import pytest
from bakery import STEP, Parameters
from mlflow.exceptions import ExecutionException

from steps import main, train
from steps.errors import UserError
from steps.settings.parameters import parse
from steps.settings.profile import PROJECT
from steps.tracking.resume import again, go_on_with, under_way
from steps.tracking.step import RUN_ID


@pytest.mark.parametrize("step", main.CHAIN, ids=lambda step: step.name)
def test_a_parameter_of_one_step_has_the_steps_name_before_it(step):
    known = main.Parameters.model_fields
    for name, field in step.parameters.model_fields.items():
        prefixed = f"{step.name}_{name}"
        if name.endswith(RUN_ID):
            assert name not in known and prefixed not in known
        elif name in main._Own.model_fields:
            assert prefixed not in known
            assert known[name].default == field.default
        else:
            assert name not in known
            assert known[prefixed].default == field.default
            assert known[prefixed].description == field.description


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--train_epochs", "0"], "train_epochs: "),
        (["--train_launcher", "mpi"], "train_launcher: "),
        (["--tune_trials", "few"], "tune_trials: "),
        (["--input_size", "8"], "input_size: "),
    ],
)
def test_the_bounds_of_each_step_hold_for_the_chain(argv, told):
    with pytest.raises(UserError, match=told):
        parse(main.Parameters, "main", argv)


@pytest.mark.parametrize(
    ("argv", "runs", "expected"),
    [
        ([], {}, {}),
        (["--train_epochs", "3"], {}, {"epochs": 3}),
        (["--tune_epochs", "3", "--tune_seed", "1"], {}, {}),
        (["--input_size", "64", "--profile", "farm"], {}, {"input_size": 64, "profile": "farm"}),
        ([], {"ingest": "1", "tune": "2"}, {"ingest_run_id": "1", "tune_run_id": "2"}),
    ],
)
def test_a_step_gets_its_own_parameters_and_the_runs_before_it(argv, runs, expected):
    parameters = parse(main.Parameters, "main", argv)
    assert main._parameters_of(train.STEP, parameters, runs) == train.Parameters(**expected)


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
    found = main._run(STEP, Parameters(**chosen))
    assert found.info.run_id == mlflow.active_run().info.run_id
    assert submitted["parameters"] == given
    assert (submitted["entry_point"], submitted["uri"]) == ("bake", str(PROJECT))
    assert submitted["experiment_id"] == main.experiment_id()
    assert parse(Parameters, "bake", [f"--{k}={v}" for k, v in given.items()]) == Parameters(
        **chosen
    )


def test_a_step_that_fails_is_named_with_the_command_to_go_on(submitted):
    asked = main.Parameters(source="my pictures", force="tune", until="train")
    with pytest.raises(UserError) as caught, under_way("main", asked):
        go_on_with(again(**{"from": "bake"}))
        main._run(STEP, Parameters(minutes=60))
    assert str(caught.value) == (
        "bake failed; mend it, and go on with: mlflow run . --env-manager local "
        "-P 'source=my pictures' -P force=tune -P until=train -P from=bake"
    )
