"""The training in one process: it learns, it repeats itself, and it keeps the best epoch."""

from dataclasses import replace

import numpy as np
import pytest
from mlflow import MlflowClient
from small_cache import write_cache

from steps.errors import RunAgain, UserError
from steps.evaluation.predictions import predict_by_keras
from steps.pipeline.outputs import Selection
from steps.pipeline.runs import RESUMED
from steps.settings.profile import load_profile
from steps.training.checkpoints import (
    Checkpoints,
    TrainingFingerprint,
    folder_of,
    last_checkpoint,
    remove_checkpoints,
)
from steps.training.fit import Diverged, fit
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


def _told(fitted: FitResult) -> list[dict[str, float]]:
    """The metrics but for the seconds, which are another in each training."""
    return [{k: v for k, v in epoch.items() if k != "epoch_seconds"} for epoch in fitted.epochs]


@pytest.fixture(scope="module")
def fitted(bright_cache) -> FitResult:
    return fit(PLAN, bright_cache, SingleProcess())


def test_a_bright_square_is_learned(bright_cache, fitted):
    assert fitted.epochs[fitted.best]["validation_accuracy"] > 0.9
    assert fitted.epochs[-1]["loss"] < fitted.epochs[0]["loss"] / 2
    model, _ = prepare_model(PLAN, bright_cache)
    model.set_weights(fitted.weights)
    assert predict_by_keras(model, bright_cache, "test").metrics()["accuracy"] > 0.9


def test_an_equal_plan_gives_equal_weights(bright_cache, fitted):
    again = fit(replace(PLAN), bright_cache, SingleProcess())
    assert _equal(fitted, again) and _told(fitted) == _told(again)


@pytest.fixture(scope="module")
def one_epoch(bright_cache) -> FitResult:
    return fit(replace(PLAN, epochs=1), bright_cache, SingleProcess())


@pytest.mark.parametrize("change", [{"seed": 1}, {"learning_rate": 2e-3}, {"dropout": 0.3}])
def test_another_plan_gives_other_weights(bright_cache, one_epoch, change):
    other = fit(replace(PLAN, epochs=1, **change), bright_cache, SingleProcess())
    assert not _equal(one_epoch, other)


def test_the_weights_are_those_of_the_epoch_that_is_kept(bright_cache, fitted):
    losses = [epoch["validation_loss"] for epoch in fitted.epochs]
    assert len(losses) == PLAN.epochs
    model, _ = prepare_model(PLAN, bright_cache)
    model.set_weights(fitted.weights)
    predictions = predict_by_keras(model, bright_cache, "validation")
    metrics = predictions.metrics()
    assert metrics["log_loss"] == pytest.approx(losses[fitted.best], rel=1e-3)
    is_true = predictions.truth[:, None] == np.array(predictions.labels)
    of_each = -np.log(predictions.probabilities[is_true])
    error = of_each.std() / np.sqrt(len(of_each))
    assert fitted.epochs[fitted.best]["validation_loss_error"] == pytest.approx(error, rel=1e-2)
    expected = fitted.epochs[fitted.best]["validation_accuracy"]
    assert metrics["accuracy"] == pytest.approx(expected)


def test_each_epoch_is_told_as_it_ends_and_may_end_the_training(bright_cache):
    told = []

    class Enough(Exception):
        pass

    def after_epoch(epoch: int, metrics: dict[str, float]) -> None:
        told.append((epoch, set(metrics)))
        if epoch == 1:
            raise Enough

    with pytest.raises(Enough):
        fit(PLAN, bright_cache, SingleProcess(), after_epoch)
    names = {"loss", "validation_loss", "validation_loss_error", "validation_accuracy"}
    names |= {"learning_rate", "epoch_seconds"}
    assert told == [(0, names), (1, names)]


def test_padding_counts_for_nothing(tmp_path):
    def colour(number, size, classes):
        return np.full((*size, 3), 40 + 170 * (number % 2), np.uint8), number % 2

    # of 9 images in batches of 8 the last batch is padded by 7, of 6 by 2
    groups = {"train": [3, 3, 3], "validation": [3, 3]}
    cache = write_cache(tmp_path / "colours", groups, size=(32, 32), draw=colour)
    plan = replace(PLAN, batch_size=8, epochs=2)
    fitted = fit(plan, cache, SingleProcess())
    model, _ = prepare_model(plan, cache)
    model.set_weights(fitted.weights)
    judged = predict_by_keras(model, cache, "validation").metrics()
    told = fitted.epochs[fitted.best]
    assert told["validation_loss"] == pytest.approx(judged["log_loss"], rel=1e-3)
    assert told["validation_accuracy"] == pytest.approx(judged["accuracy"])
    assert (told["validation_accuracy"] * 6) % 1 == pytest.approx(0, abs=1e-6)


SELECTION = Selection(
    table="/lake/images",
    version=3,
    source="file:/landing",
    input_size=(32, 32),
    block_minutes=10,
    guard_minutes=1,
    split_seed=0,
)


def test_a_training_that_was_cut_off_goes_on_to_the_same_weights(bright_cache, fitted, tmp_path):
    setting = TrainingFingerprint(PLAN, SELECTION, 1)
    profile = load_profile("local").model_copy(update={"cache": str(tmp_path)})
    checkpoints = Checkpoints(folder_of(profile, "cut"), setting)

    def cut(epoch: int, metrics: dict[str, float]) -> None:
        if epoch == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(PLAN, bright_cache, SingleProcess(), cut, checkpoints.keep)
    # what was being written when the power went is none
    place = tmp_path / "checkpoints" / "cut"
    (place / ".epoch-0009.npz.1.part").write_bytes(b"half of it")
    assert [path.name for path in sorted(place.glob("*.npz"))] == [
        "epoch-0004.npz",
        "epoch-0005.npz",
    ]
    start = last_checkpoint(profile, "cut", setting)
    assert len(start.fitted.epochs) == 5
    resumed = fit(PLAN, bright_cache, SingleProcess(), start=start)
    assert _equal(fitted, resumed) and _told(fitted) == _told(resumed)
    assert resumed.best == fitted.best

    other = TrainingFingerprint(replace(PLAN, epochs=9), SELECTION, 1)
    with pytest.raises(UserError, match="trained with epochs 8, not 9") as caught:
        last_checkpoint(profile, "cut", other)
    assert caught.value.fix == RunAgain({"epochs": "8"})
    remove_checkpoints(checkpoints.folder)
    with pytest.raises(UserError, match="run cut has no checkpoint"):
        last_checkpoint(profile, "cut", setting)


def test_what_to_type_names_parameters_that_there_are(store, tmp_path):
    """And one that was cut off before its first epoch goes on from where it began."""
    profile = load_profile("local").model_copy(update={"cache": str(tmp_path)})
    first = MlflowClient().create_run("0", tags={"input.ingest": "1" * 32}).info.run_id
    second = MlflowClient().create_run("0", tags={RESUMED: first}).info.run_id
    kept = TrainingFingerprint(PLAN, SELECTION, 1)
    Checkpoints(folder_of(profile, first), kept).keep(
        Checkpoint(FitResult([], [{"loss": 1.0}], 0), [])
    )
    for run_id in (first, second):
        assert last_checkpoint(profile, run_id, kept).fitted.epochs == [{"loss": 1.0}]
    for field, value, changed in [
        ("version", 4, {"ingest_run_id": "1" * 32}),
        ("table_id", "another", {"ingest_run_id": "1" * 32}),
        ("input_size", (64, 64), {"input_size": "32"}),
        ("split_seed", 5, {"split_seed": "0"}),
    ]:
        other = TrainingFingerprint(PLAN, SELECTION.model_copy(update={field: value}), 1)
        with pytest.raises(UserError) as caught:
            last_checkpoint(profile, first, other)
        assert caught.value.fix == RunAgain(changed)


def test_a_training_ends_when_it_gets_no_better(bright_cache):
    stuck = replace(PLAN, learning_rate=1e-12, epochs=8, patience=2)
    fitted = fit(stuck, bright_cache, SingleProcess())
    assert len(fitted.epochs) == fitted.lowest + 1 + 2 < 8


def test_a_loss_that_is_no_number_ends_the_training_with_advice(bright_cache):
    with pytest.raises(Diverged, match="no number any more in epoch 1; pass a lower"):
        fit(replace(PLAN, learning_rate=float("nan")), bright_cache, SingleProcess())


def test_rare_classes_count_as_much_as_frequent_ones(tmp_path):
    def rare(number, size, classes):
        return np.zeros((*size, 3), np.uint8), int(number % 10 == 0)

    # nothing tells the images apart, so the network learns how much each class counts
    groups = {"train": [20, 20], "validation": [10, 10]}
    cache = write_cache(tmp_path / "rare", groups, size=(32, 32), draw=rare)
    losses = {}
    for balanced in (True, False):
        still = replace(PLAN, epochs=24, dropout=0.0, augmentation=0.0, learning_rate=0.01)
        plan = replace(still, class_weights=balanced)
        losses[balanced] = fit(plan, cache, SingleProcess()).epochs[-1]["loss"]
    # the least loss is a half's, 0.69, where classes count the same, and a tenth's, 0.33, else
    assert losses[True] == pytest.approx(np.log(2), rel=0.1)
    assert losses[False] < 0.5


def test_half_precision_learns_into_weights_of_single_precision(bright_cache):
    plan = replace(PLAN, precision="mixed_float16", epochs=2)
    fitted = fit(plan, bright_cache, SingleProcess())
    assert fitted.epochs[-1]["loss"] < fitted.epochs[0]["loss"]
    assert {weights.dtype.name for weights in fitted.weights} == {"float32"}
    model, optimizer = prepare_model(plan, bright_cache)
    assert model.layers[-1].compute_dtype == "float32"
    assert {layer.compute_dtype for layer in model.layers if "conv2d" in layer.name} == {"float16"}
    assert hasattr(optimizer, "dynamic_scale")
