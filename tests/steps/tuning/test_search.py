"""The search: when it ends, what it resumes from, and its trials as MLflow shows them."""

import math
import os
import signal
import sys
from dataclasses import replace

import mlflow
import pytest
from mlflow import MlflowClient
from pyspark import cloudpickle

from steps.lake.workers import importing_workers
from steps.pipeline.report import Report
from steps.pipeline.runs import RESUMED
from steps.reports.tune import fill_report
from steps.settings.search_space import Choice, Range, SearchSpace
from steps.training.plan import Plan
from steps.tuning import trials as trials_module
from steps.tuning.search import (
    Limits,
    _reusing_workers,
    _wave_size,
    search,
    should_stop_early,
)
from steps.tuning.trials import FAILED, FINISHED, Trial, read_trials

PLAN = Plan(width=0.5, batch_size=32, epochs=2, seed=3)
SPACE = SearchSpace(
    learning_rate=Range(low=1e-3, high=6e-3, scale="log"),
    width=Range(low=0.25, high=0.75, step=0.25),
    batch_size=Choice(choices=[32, 48]),
    network=Choice(choices=["compact"]),
)


@pytest.mark.parametrize(
    ("losses", "patience", "expected"),
    [
        ([3, 2, 1], 2, False),
        ([1, 2, 3], 2, True),
        ([1, 2, 3], 0, False),
        ([1, 2], 2, False),
        ([2, None, None, 1], 3, False),
        ([1, None, None], 2, True),
    ],
)
def test_a_search_stops_early_when_it_finds_no_lower_loss(losses, patience, expected):
    trials = [Trial("", {}, FAILED if loss is None else FINISHED, [loss or 9.0]) for loss in losses]
    assert should_stop_early(trials, patience) == expected


def _fit_with_failures(plan, cache, ranks, after_epoch):
    """Trains; but at rates that the first draws of the seed have, something goes wrong."""
    from steps.training.fit import fit

    if plan.learning_rate == PLAN.learning_rate:
        return fit(plan, cache, ranks, after_epoch)
    if plan.batch_size == 48:
        os.kill(os.getpid(), signal.SIGKILL)
    return fit(replace(plan, learning_rate=math.nan), cache, ranks, after_epoch)


@pytest.mark.slow
def test_failures_are_recorded_and_a_search_resumes_from_its_trials(
    lake, store, bright_cache, monkeypatch
):
    """A search with a good trial, diverging ones and dying workers, then one that resumes it."""

    def run(plan: Plan, count: int, before: list[Trial] = ()) -> tuple[list[Trial], str]:
        with mlflow.start_run() as parent:
            limits = Limits(count, parallelism=2, seconds=None, patience=0)
            arguments = (lake.spark, plan, bright_cache, SPACE, limits, parent.info.run_id)
            return search(*arguments, before), parent.info.run_id

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers know no tests
    monkeypatch.setattr(trials_module, "fit", _fit_with_failures)
    trials, parent = run(PLAN, 3)
    assert len(trials) == 3 and trials[0].outcome == FINISHED
    assert trials[0].hyperparameters == {
        "learning_rate": 3e-3,
        "width": 0.5,
        "batch_size": 32,
        "network": "compact",
    }
    assert {trial.outcome for trial in trials[1:]} == {FAILED}
    why = {trial.hyperparameters["batch_size"]: trial.error for trial in trials[1:]}
    assert set(why) == {32, 48}, "draw other seeds: both kinds of failure have to come up"
    assert "not finite" in why[32] and why[48] == "its process died"

    client = MlflowClient()
    for trial in trials:
        logged = client.get_run(trial.run_id)
        failed = trial.outcome == FAILED
        assert logged.info.status == ("FAILED" if failed else "FINISHED")
        assert logged.data.tags["mlflow.parentRunId"] == parent
        parameters = {name: str(value) for name, value in trial.hyperparameters.items()}
        assert logged.data.params == parameters
        assert ("failure" in logged.data.tags) == failed

    monkeypatch.undo()
    mlflow.set_tracking_uri(store)
    found = read_trials(parent)

    def key(trial: Trial) -> tuple:
        hyperparameters = sorted(trial.hyperparameters.items())
        return trial.run_id, trial.outcome, hyperparameters, len(trial.losses)

    assert sorted(map(str, map(key, found))) == sorted(map(str, map(key, trials)))
    with mlflow.start_run(tags={RESUMED: parent}) as resumed:  # interrupted before its first trial
        pass
    assert read_trials(resumed.info.run_id) == found
    more, _ = run(PLAN, 4, found)
    assert more[:3] == found and more[3].outcome == FINISHED

    report = Report("tune", "run")
    with mlflow.start_run():  # whose experiment the links lead to
        fill_report(report, more, SPACE, [])
    assert dict(report.headlines)["failed"] == "2"
    page = report.html()
    assert f"/#/experiments/0/runs/{more[0].run_id}" in page and "its process died" in page
    assert page.count("<svg") == 2


@pytest.mark.slow
def test_a_trial_leaves_its_worker_to_the_next_one(lake):
    context = _reusing_workers(lake.spark).sparkContext
    with importing_workers(lake.spark, "tabnanny"):  # or others have left theirs
        tasks = [context.parallelize([0], 1).mapPartitions(lambda _: [os.getpid()])] * 5
        assert len({tuple(task.collect()) for task in tasks}) <= 2, "the first one may run still"


@pytest.mark.parametrize(
    ("limits", "done", "size"),
    [
        (Limits(9, 2, None, 0), 0, 5),  # those that are drawn at random
        (Limits(9, 2, None, 0), 4, 2),
        (Limits(9, 2, None, 0), 7, 2),
        (Limits(9, 8, None, 0), 0, 8),
        (Limits(9, 2, 60, 0), 0, 2),  # the search may end before the next wave
        (Limits(9, 2, None, 3), 0, 2),
    ],
)
def test_the_size_of_a_wave(limits, done, size):
    assert _wave_size(limits, done) == size


@pytest.mark.slow
def test_the_time_limit_ends_a_search(lake, store, bright_cache):
    long = replace(PLAN, epochs=100_000, patience=0)
    with mlflow.start_run() as parent:
        limits = Limits(trials=9, parallelism=1, seconds=12, patience=0)
        trials = search(lake.spark, long, bright_cache, SPACE, limits, parent.info.run_id)
    assert [trial.outcome for trial in trials] == [FAILED]
    assert trials[0].error == "stopped by the time limit"
