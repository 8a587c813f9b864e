"""The time of a step's stages, as the run has it."""

import time

import mlflow
import psutil
import pytest

from steps.pipeline.report import Report
from steps.pipeline.stage_timings import StageTimings


def test_the_stages_are_logged(store):
    with mlflow.start_run() as run:
        timings = StageTimings()
        with timings.measure("cache"):
            time.sleep(0.05)
        with timings.measure("cache"):
            time.sleep(0.05)
        timings.separate("cache", "epochs", 0.04)
        report = Report("train", run.info.run_id)
        timings.log(report)
    logged = mlflow.get_run(run.info.run_id).data.metrics
    assert set(logged) == {"seconds_start", "seconds_cache", "seconds_epochs"}
    assert 0.06 <= logged["seconds_cache"] < logged["seconds_start"]
    assert logged["seconds_epochs"] == pytest.approx(0.04)
    assert list(timings.seconds) == ["start", "cache", "epochs"]
    rows = [[name, round(spent, 1)] for name, spent in timings.seconds.items()]
    assert report.sections[0].rows == rows


def test_a_step_without_stages_has_none(store):
    with mlflow.start_run() as run:
        report = Report("register", run.info.run_id)
        StageTimings().log(report)
    assert mlflow.get_run(run.info.run_id).data.metrics == {} and report.sections == []


def test_the_start_counts_from_the_process():
    age = time.time() - psutil.Process().create_time()
    # psutil counts from the boot's time in whole seconds
    timings = StageTimings()
    with timings.measure("cache"):
        pass
    assert timings.seconds["start"] == pytest.approx(age, abs=1.5)


def test_the_start_of_a_step_among_others_counts_from_the_step():
    timings = StageTimings(time.monotonic() - 0.25)
    with timings.measure("cache"):
        pass
    assert timings.seconds["start"] == pytest.approx(0.25, abs=0.1)
