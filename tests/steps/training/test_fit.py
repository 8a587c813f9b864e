"""The training in one process: it learns, it is repeatable, and it keeps the best epoch."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from mlflow import MlflowClient
from small_cache import write_cache

from edge.inference.region import Region
from steps.errors import RunAgain, UserError
from steps.evaluation.predictions import predict_by_keras
from steps.pipeline.outputs import Selection
from steps.pipeline.runs import RESUMED
from steps.settings.profile import load_profile
from steps.training.checkpoints import (
    TrainingFingerprint,
    checkpoint_folder,
    load_checkpoint,
    remove_checkpoints,
    save_checkpoint,
)
from steps.training.fit import DivergedError, fit
from steps.training.fit_result import Checkpoint, FitResult
from steps.training.model import prepare_model
from steps.training.plan import Plan
from steps.training.ranks import SingleProcess

pytestmark = pytest.mark.slow

PLAN = Plan(
    network="compact",
    width=0.5,
    dropout=0.1,
    weights="none",
    learning_rate=3e-3,
    batch_size=16,
    epochs=8,
    seed=0,
)


def _equal(first: FitResult, second: FitResult) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first.weights, second.weights, strict=True))


def _metrics(result: FitResult) -> list[dict[str, float]]:
    """The metrics but for the seconds, which are another in each training."""
    return [{k: v for k, v in epoch.items() if k != "epoch_seconds"} for epoch in result.epochs]


@pytest.fixture(scope="module")
def result(bright_cache) -> FitResult:
    return fit(PLAN, bright_cache, SingleProcess())


def test_a_bright_square_is_learned(bright_cache, result):
    assert result.epochs[result.best]["validation_accuracy"] > 0.9
    assert result.epochs[-1]["loss"] < result.epochs[0]["loss"] / 2
    model, _ = prepare_model(PLAN, bright_cache)
    model.set_weights(result.weights)
    assert predict_by_keras(model, bright_cache, "test").metrics()["accuracy"] > 0.9


def test_an_equal_plan_gives_equal_weights(bright_cache, result):
    again = fit(replace(PLAN), bright_cache, SingleProcess())
    assert _equal(result, again) and _metrics(result) == _metrics(again)


@pytest.fixture(scope="module")
def one_epoch(bright_cache) -> FitResult:
    return fit(replace(PLAN, epochs=1), bright_cache, SingleProcess())


@pytest.mark.parametrize("change", [{"seed": 1}, {"learning_rate": 2e-3}, {"dropout": 0.3}])
def test_another_plan_gives_other_weights(bright_cache, one_epoch, change):
    other = fit(replace(PLAN, epochs=1, **change), bright_cache, SingleProcess())
    assert not _equal(one_epoch, other)


def test_the_weights_are_those_of_the_best_epoch(bright_cache, result):
    losses = [epoch["validation_loss"] for epoch in result.epochs]
    assert len(losses) == PLAN.epochs
    model, _ = prepare_model(PLAN, bright_cache)
    model.set_weights(result.weights)
    predictions = predict_by_keras(model, bright_cache, "validation")
    metrics = predictions.metrics()
    assert metrics["log_loss"] == pytest.approx(losses[result.best], rel=1e-3)
    is_true = predictions.truth[:, None] == np.array(predictions.labels)
    of_each = -np.log(predictions.probabilities[is_true])
    error = of_each.std() / np.sqrt(len(of_each))
    assert result.epochs[result.best]["validation_loss_error"] == pytest.approx(error, rel=1e-2)
    expected = result.epochs[result.best]["validation_accuracy"]
    assert metrics["accuracy"] == pytest.approx(expected)


def test_padding_counts_for_nothing(tmp_path):
    def colour(number, size, classes):
        return np.full((*size, 3), 40 + 170 * (number % 2), np.uint8), number % 2

    # of 9 images in batches of 8 the last batch is padded by 7, of 6 by 2
    groups = {"train": [3, 3, 3], "validation": [3, 3]}
    cache = write_cache(tmp_path / "colours", groups, size=(32, 32), draw=colour)
    plan = replace(PLAN, batch_size=8, epochs=2)
    result = fit(plan, cache, SingleProcess())
    model, _ = prepare_model(plan, cache)
    model.set_weights(result.weights)
    metrics = predict_by_keras(model, cache, "validation").metrics()
    logged = result.epochs[result.best]
    assert logged["validation_loss"] == pytest.approx(metrics["log_loss"], rel=1e-3)
    assert logged["validation_accuracy"] == pytest.approx(metrics["accuracy"])
    assert (logged["validation_accuracy"] * 6) % 1 == pytest.approx(0, abs=1e-6)


SELECTION = Selection(
    table="/lake/images",
    version=3,
    source="file:/landing",
    input_size=(32, 32),
    block_minutes=10,
    guard_minutes=1,
    split_seed=0,
)
LEFT, RIGHT = Region(0, 0, 0.5, 1), Region(0.5, 0, 0.5, 1)


def test_an_interrupted_training_resumes_to_the_same_weights(bright_cache, result, tmp_path):
    fingerprint = TrainingFingerprint(PLAN, SELECTION, 1)
    profile = load_profile("local").model_copy(update={"cache": str(tmp_path)})
    save = partial(save_checkpoint, checkpoint_folder(profile, "interrupted"), fingerprint)

    calls = []

    def interrupt(epoch: int, metrics: dict[str, float]) -> None:
        calls.append((epoch, set(metrics)))
        if epoch == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(PLAN, bright_cache, SingleProcess(), interrupt, save)
    names = {"loss", "validation_loss", "validation_loss_error", "validation_accuracy"}
    names |= {"learning_rate", "epoch_seconds"}
    assert calls == [(epoch, names) for epoch in range(5)]
    # a file that was being written when the power failed is no checkpoint
    place = tmp_path / "checkpoints" / "interrupted"
    (place / ".epoch-0009.npz.1.part").write_bytes(b"half of it")
    assert [path.name for path in sorted(place.glob("*.npz"))] == [
        "epoch-0004.npz",
        "epoch-0005.npz",
    ]
    start = load_checkpoint(profile, "interrupted", fingerprint)
    assert len(start.result.epochs) == 5
    resumed = fit(PLAN, bright_cache, SingleProcess(), resume_from=start)
    assert _equal(result, resumed) and _metrics(result) == _metrics(resumed)
    assert resumed.best == result.best

    other = TrainingFingerprint(replace(PLAN, epochs=9), SELECTION, 1)
    with pytest.raises(UserError, match="trained with epochs 8, not 9") as caught:
        load_checkpoint(profile, "interrupted", other)
    assert caught.value.fix == RunAgain({"epochs": "8"})
    remove_checkpoints(profile, "interrupted")
    with pytest.raises(UserError, match="run interrupted has no checkpoint"):
        load_checkpoint(profile, "interrupted", fingerprint)


def test_the_fix_names_parameters_of_train(store, tmp_path):
    """A run that was interrupted before its first epoch resumes from where it began."""
    profile = load_profile("local").model_copy(update={"cache": str(tmp_path)})
    first = MlflowClient().create_run("0", tags={"input.ingest": "1" * 32}).info.run_id
    second = MlflowClient().create_run("0", tags={RESUMED: first}).info.run_id
    selection = SELECTION.model_copy(update={"regions": {"7": LEFT, "": RIGHT}})
    fingerprint = TrainingFingerprint(PLAN, selection, 1)
    checkpoint = Checkpoint(FitResult([], [{"loss": 1.0}], 0), [])
    save_checkpoint(checkpoint_folder(profile, first), fingerprint, checkpoint)
    for run_id in (first, second):
        assert load_checkpoint(profile, run_id, fingerprint).result.epochs == [{"loss": 1.0}]
    for field, value, changed in [
        ("version", 4, {"ingest_run_id": "1" * 32}),
        ("table_id", "another", {"ingest_run_id": "1" * 32}),
        ("input_size", (64, 64), {"input_size": "32"}),
        ("split_seed", 5, {"split_seed": "0"}),
        ("regions", {"7": LEFT}, {"region": "0.5,0.0,0.5,1.0"}),
        ("regions", {"7": LEFT, "": LEFT}, {"region": "0.5,0.0,0.5,1.0"}),
        ("regions", {"": RIGHT}, {}),  # the profile's changed
    ]:
        other = TrainingFingerprint(PLAN, selection.model_copy(update={field: value}), 1)
        with pytest.raises(UserError) as caught:
            load_checkpoint(profile, first, other)
        assert caught.value.fix == RunAgain(changed)


def test_a_training_ends_early_when_its_loss_stops_falling(bright_cache):
    stuck = replace(PLAN, learning_rate=1e-12, epochs=8, patience=2)
    result = fit(stuck, bright_cache, SingleProcess())
    assert len(result.epochs) == result.lowest + 1 + 2 < 8


def test_a_loss_that_is_not_finite_ends_the_training_with_advice(bright_cache):
    with pytest.raises(DivergedError, match="not finite in epoch 1; pass a lower"):
        fit(replace(PLAN, learning_rate=float("nan")), bright_cache, SingleProcess())


def test_rare_classes_count_as_much_as_frequent_ones(tmp_path):
    def rare(number, size, classes):
        return np.zeros((*size, 3), np.uint8), int(number % 10 == 0)

    # all images are equal, so the network learns how much each class counts
    groups = {"train": [20, 20], "validation": [10, 10]}
    cache = write_cache(tmp_path / "rare", groups, size=(32, 32), draw=rare)
    losses = {}
    for balanced in (True, False):
        plan = replace(
            PLAN,
            epochs=24,
            patience=0,
            dropout=0.0,
            augmentation=0.0,
            learning_rate=0.01,
            class_weights=balanced,
        )
        losses[balanced] = fit(plan, cache, SingleProcess()).epochs[-1]["loss"]
    # the least loss is a half's, 0.69, where classes count the same, and a tenth's, 0.33, else
    assert losses[True] == pytest.approx(np.log(2), rel=0.1)
    assert losses[False] < 0.5


def test_half_precision_learns_into_weights_of_single_precision(bright_cache):
    plan = replace(PLAN, precision="mixed_float16", epochs=2)
    result = fit(plan, bright_cache, SingleProcess())
    assert result.epochs[-1]["loss"] < result.epochs[0]["loss"]
    assert {weights.dtype.name for weights in result.weights} == {"float32"}
    model, optimizer = prepare_model(plan, bright_cache)
    assert model.layers[-1].compute_dtype == "float32"
    assert {layer.compute_dtype for layer in model.layers if "conv2d" in layer.name} == {"float16"}
    assert hasattr(optimizer, "dynamic_scale")
