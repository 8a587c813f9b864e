"""The ranks as Horovod starts them, and what each launcher name means."""

import importlib.util
import logging
import os
from contextlib import nullcontext

import numpy as np
import pytest
from mlflow import MlflowClient

from steps.errors import UserError
from steps.evaluation.predictions import predict_by_keras
from steps.settings.profile import PROJECT
from steps.training.fit_result import FitResult
from steps.training.launcher import launch, resolve_launcher, why_one_process
from steps.training.model import prepare_model
from steps.training.plan import Plan

PLAN = Plan(
    network="compact",
    width=0.5,
    dropout=0.1,
    weights="none",
    learning_rate=3e-3,
    batch_size=16,
    epochs=3,
    seed=0,
)


@pytest.fixture
def horovod_is(monkeypatch, request):
    """Horovod as built here, or as missing."""
    spec = importlib.util.find_spec

    def find(name: str, *rest):
        return (object() if request.param else None) if name == "horovod" else spec(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", find)


@pytest.mark.parametrize(
    ("horovod_is", "wanted", "expected"),
    [
        (True, "auto", "horovod"),
        (True, "horovod", "horovod"),
        (True, "horovod-spark", "horovod-spark"),
        (True, "single", "single"),
        (False, "auto", "single"),
        (False, "single", "single"),
    ],
    indirect=["horovod_is"],
)
def test_the_launcher(horovod_is, wanted, expected, caplog):
    caplog.set_level(logging.INFO)
    assert resolve_launcher(wanted)[0] == expected
    is_logged = "training in one process" in caplog.text
    assert is_logged == ((wanted, expected) == ("auto", "single"))


@pytest.mark.parametrize("horovod_is", [True], indirect=True)
@pytest.mark.parametrize(
    ("plan", "size", "images", "is_small"),
    [
        (Plan(), 128, 678, True),
        (Plan(), 128, 1000, False),
        (Plan(), 224, 678, False),
        (Plan(epochs=60), 128, 678, False),
        (Plan(batch_size=64), 128, 10, False),  # an epoch reads them a hundred times
        (Plan(network="MobileNetV2"), 128, 10, False),
        (Plan(network="efficientnet_lite0"), 224, 100_000, True),
    ],
)
def test_auto_is_one_process_where_that_ends_sooner(
    plan, size, images, is_small, horovod_is, caplog
):
    reason = why_one_process(plan, (size, size), images)
    assert bool(reason) == is_small
    assert resolve_launcher("auto", reason) == (("single", reason) if reason else ("horovod", ""))
    assert resolve_launcher("horovod", reason) == ("horovod", "")


@pytest.mark.parametrize("horovod_is", [False], indirect=True)
@pytest.mark.parametrize("wanted", ["horovod", "horovod-spark"])
def test_a_launcher_without_horovod_names_the_command_that_builds_it(horovod_is, wanted):
    with pytest.raises(UserError, match=f"launcher {wanted}: .* not built here; run: make horovod"):
        resolve_launcher(wanted)


@pytest.fixture
def trained(store, bright_cache, monkeypatch):
    """Trains on two ranks; returns the result of rank 0, and the run it logged to."""
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)

    def train(launcher: str, spark) -> tuple[FitResult, str]:
        run_id = MlflowClient().create_run("0").info.run_id
        return launch(launcher, 2, PLAN, bright_cache, spark, run_id), run_id

    return train


@pytest.mark.slow
def test_two_ranks_learn_together_and_learn_the_same_on_spark(trained, bright_cache, lake):
    first, run_id = trained("horovod", _no_spark)
    _assert_logged(first, run_id)
    again, run_id = trained("horovod-spark", lambda: nullcontext(lake.spark))
    _assert_logged(again, run_id)
    assert len(first.weights) == len(again.weights)
    for ours, theirs in zip(first.weights, again.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)

    # what the ranks summed up over their shards is what one process computes over all
    model, _ = prepare_model(PLAN, bright_cache)
    model.set_weights(first.weights)
    metrics = predict_by_keras(model, bright_cache, "validation").metrics()
    logged = first.epochs[first.best]
    assert metrics["log_loss"] == pytest.approx(logged["validation_loss"], rel=1e-3)
    assert metrics["accuracy"] == pytest.approx(logged["validation_accuracy"])
    assert first.epochs[-1]["loss"] < first.epochs[0]["loss"] * 0.9


def _no_spark():
    raise AssertionError("Spark was started")


def _assert_logged(result: FitResult, run_id: str) -> None:
    for metric in ("loss", "validation_loss", "validation_accuracy", "epoch_seconds"):
        history = MlflowClient().get_metric_history(run_id, metric)
        assert [point.step for point in history] == list(range(PLAN.epochs))
        assert [point.value for point in history] == [epoch[metric] for epoch in result.epochs]
