"""Where the time of a step went, on its run and its report."""

import time

import mlflow
import psutil
import pytest

from steps.pipeline.report import Report
from steps.training.stage_timings import Stages


def test_the_stages_are_logged_and_shown(store):
    report = Report("train", "abc")
    with mlflow.start_run() as run:
        stages = Stages()
        with stages.of("cache"):
            time.sleep(0.05)
        with stages.of("cache"):
            time.sleep(0.05)
        stages.part("cache", "epochs", 0.04)
        stages.show(report)
    logged = mlflow.get_run(run.info.run_id).data.metrics
    assert set(logged) == {"seconds_start", "seconds_cache", "seconds_epochs"}
    assert 0.06 <= logged["seconds_cache"] < logged["seconds_start"]
    assert logged["seconds_epochs"] == pytest.approx(0.04)
    assert [row[0] for row in report.sections[0].rows] == ["start", "cache", "epochs"]


def test_the_start_counts_from_the_process():
    age = time.time() - psutil.Process().create_time()
    # psutil counts from the boot's time in whole seconds
    assert Stages().seconds["start"] == pytest.approx(age, abs=1.5)
