"""Runs: which one a parameter means, and what is said where it means none."""

from itertools import pairwise

import mlflow
import pytest
from mlflow import MlflowClient

from steps.errors import RUN, UserError
from steps.pipeline.commands import Commands
from steps.pipeline.runs import RESUMED, experiment_id, finished_runs, resolve_input, resumed_by

NEWEST = 1_800_000_000_000


@pytest.fixture
def experiment(store) -> str:
    """The experiment of the active run."""
    with mlflow.start_run() as run:
        yield run.info.experiment_id


def made(
    experiment: str,
    age: int = 0,
    step: str | None = "knead",
    status: str = "FINISHED",
    key: str = "",
) -> str:
    """A run of a step, as many milliseconds older than the newest as it is said; its ID."""
    tags = {"cache_key": key} | ({"step": step} if step else {})
    run = MlflowClient().create_run(experiment, start_time=NEWEST - age, tags=tags)
    if status != "RUNNING":
        MlflowClient().set_terminated(run.info.run_id, status)
    return run.info.run_id


def refusal(step: str, wanted: str) -> str:
    """The one line that is said about an input."""
    with pytest.raises(UserError) as caught:
        resolve_input(step, wanted)
    assert "\n" not in str(caught.value)
    Commands().add_to(caught.value)
    return str(caught.value)


def test_latest_is_the_newest_finished_run_of_the_step(experiment):
    made(experiment, age=3)
    newest = made(experiment, age=2)
    # older by its start, though made later
    made(experiment, age=4)
    made(experiment, age=1, status="FAILED")
    made(experiment, age=0, status="RUNNING")
    made(experiment, age=0, step="bake")
    made(experiment, age=0, step=None)
    assert resolve_input("knead", "latest") == newest


def test_a_run_goes_on_from_another_and_that_from_a_third(experiment):
    client = MlflowClient()
    runs = [client.create_run(experiment).info.run_id for _ in range(3)]
    for run_id, before in pairwise(runs):
        client.set_tag(run_id, RESUMED, before)
    assert resumed_by(runs[0]) == runs[1:] and resumed_by(runs[2]) == []
    client.set_tag(runs[2], RESUMED, "a run that is gone")
    assert resumed_by(runs[0]) == runs[1:]


def test_latest_stays_in_the_experiment_of_the_active_run(experiment):
    other = MlflowClient().create_experiment("another")
    here = made(experiment, age=1)
    made(other)
    assert resolve_input("knead", "latest") == here


def test_latest_is_no_deleted_run(experiment):
    older, newer = made(experiment, age=1), made(experiment)
    MlflowClient().delete_run(newer)
    assert resolve_input("knead", "latest") == older


@pytest.mark.parametrize("status", ["FAILED", "RUNNING", "KILLED"])
def test_without_a_finished_run_there_is_no_latest(experiment, status):
    made(experiment, status=status)
    said = refusal("knead", "latest")
    assert said == f"knead has no finished run yet; run: {RUN} -e knead"


def test_an_id_means_that_run_however_old(experiment):
    older = made(experiment, age=1)
    made(experiment)
    assert resolve_input("knead", older) == older


@pytest.mark.parametrize("wanted", ["0" * 32, "newest", "a/b", "Ü", "", "' or 1=1"])
def test_a_run_that_does_not_exist_is_reported(experiment, wanted):
    made(experiment)
    said = refusal("knead", wanted)
    assert said.startswith(f"there is no run {wanted!r}; ")
    assert "-P knead_run_id=<ID of a run of knead> or latest" in said


@pytest.mark.parametrize(
    ("step", "named"), [("bake", "is of bake,"), (None, "is of no step of this project,")]
)
def test_a_run_of_another_step_is_reported(experiment, step, named):
    other = made(experiment, step=step)
    said = refusal("knead", other)
    assert said.startswith(f"run {other} {named} not of knead; ")
    assert "-P knead_run_id=<ID of a run of knead> or latest" in said


@pytest.mark.parametrize("status", ["FAILED", "RUNNING", "KILLED"])
def test_a_run_that_did_not_finish_is_reported(experiment, status):
    run_id = made(experiment, status=status)
    assert refusal("knead", run_id) == (
        f"run {run_id} of knead did not finish ({status}); run: {RUN} -e knead"
    )


def test_a_deleted_run_is_reported(experiment):
    run_id = made(experiment)
    MlflowClient().delete_run(run_id)
    assert refusal("knead", run_id).endswith(f"mlflow runs restore --run-id {run_id}")


def test_finished_runs_come_newest_first_as_many_as_asked(experiment):
    runs = [made(experiment, age=age, key="k" if age % 2 else "other") for age in range(5)]
    made(experiment, status="FAILED", key="k")
    assert [run.info.run_id for run in finished_runs("knead", count=3)] == runs[:3]
    with_key = finished_runs("knead", count=9, cache_key="k")
    assert [run.info.run_id for run in with_key] == [runs[1], runs[3]]
    assert finished_runs("knead", count=9, cache_key="none such") == []


def test_without_an_active_run_there_is_no_experiment(store):
    with pytest.raises(RuntimeError, match="no run is active"):
        experiment_id()
