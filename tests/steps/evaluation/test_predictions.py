"""Predictions for a split, against values worked out by hand."""

import math
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from small_cache import write_cache

from steps.evaluation.predictions import Predictions, keras_predict, predict_by_keras, predict_split

PROBABILITIES = [
    [0.7, 0.2, 0.1],  # a, correct
    [0.1, 0.8, 0.1],  # a, predicted b
    [0.3, 0.6, 0.1],  # b, correct
    [0.9, 0.1, 0.0],  # b, predicted a
    [0.5, 0.4, 0.1],  # c, predicted a
]
TRUTH = "aabbc"


def make(probabilities: list[list[float]], truth: str, threshold=None) -> Predictions:
    """Predictions for images numbered from 0, an hour apart, of two cameras, ever brighter."""
    count = len(truth)
    moments = [datetime(2026, 7, 13) + timedelta(hours=n) for n in range(count)]
    return Predictions(
        list("abc"[: len(probabilities[0])]),
        np.array(probabilities, np.float32),
        np.array(list(truth)),
        np.array([f"{n:064x}" for n in range(count)]),
        np.array([f"file:/landing/{n}.jpg" for n in range(count)]),
        np.array(["1" if n % 2 else None for n in range(count)]),
        np.array(moments, "datetime64[us]"),
        30.0 * np.arange(count),
        threshold,
    )


@pytest.fixture
def predictions() -> Predictions:
    return make(PROBABILITIES, TRUTH)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 2 / 5),
        ("log_loss", -sum(map(math.log, [0.7, 0.1, 0.6, 0.1, 0.1])) / 5),
        ("recall_a", 1 / 2),
        ("recall_b", 1 / 2),
        ("recall_c", 0),
        ("precision_a", 1 / 3),
        ("precision_b", 1 / 2),
        ("precision_c", 0),  # never predicted
        ("pr_auc_a", (1 / 2 + 2 / 5) / 2),  # by a's probability: b, a, c, b, a
        ("pr_auc_b", (1 / 2 + 2 / 5) / 2),  # by b's probability: a, b, c, a, b
        ("pr_auc_c", 1 / 4),  # four alike, one of them true, before the one at 0
        # confidence .7 .8 .6 .9 .5, of which the first and the third are correct
        ("calibration_error", (0.3 + 0.8 + 0.4 + 0.9 + 0.5) / 5),
    ],
)
def test_metrics(predictions, name, expected):
    assert predictions.metrics()[name] == pytest.approx(expected, rel=1e-6)
    assert set(predictions.metrics()) == {"accuracy", "log_loss", "calibration_error"} | {
        f"{kind}_{label}" for kind in ("recall", "precision", "pr_auc") for label in "abc"
    }


def test_a_confident_mistake_costs_much_but_not_infinitely_much():
    predictions = make([[1.0, 0.0], [1.0, 0.0]], "ab")
    assert predictions.metrics()["log_loss"] == pytest.approx(-math.log(1e-7) / 2, rel=1e-5)


def test_confusion_has_true_labels_by_row(predictions):
    assert predictions.predicted.tolist() == list("abbaa")
    assert predictions.confusion().tolist() == [[1, 1, 0], [1, 1, 0], [1, 0, 0]]


def test_the_second_label_is_predicted_from_the_threshold_on():
    predictions = make([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8]], "abb", threshold=0.4)
    assert predictions.predicted.tolist() == list("abb")
    assert predictions.metrics()["accuracy"] == 1
    assert predictions.confusion().tolist() == [[1, 0], [0, 2]]


def test_a_label_with_a_threshold_is_predicted_from_there_on_in_a_subset_too():
    found = [[0.6, 0.2, 0.2], [0.1, 0.5, 0.4], [0.5, 0.1, 0.4]]
    predictions = make(found, "abc")
    assert predictions.predicted.tolist() == list("aba")
    wished = replace(predictions, threshold=0.3, threshold_label="c")
    assert wished.predicted.tolist() == list("acc")
    assert wished.subset(np.array([False, True, True])).predicted.tolist() == list("cc")


def test_a_subset_has_metrics_of_its_own(predictions):
    some = predictions.subset(predictions.truth == "b")
    assert some.paths.tolist() == ["file:/landing/2.jpg", "file:/landing/3.jpg"]
    assert some.devices.tolist() == [None, "1"] and some.brightness.tolist() == [60, 90]
    metrics = some.metrics()
    assert metrics["accuracy"] == 1 / 2 and "recall_a" not in metrics


@pytest.mark.parametrize(("count", "worst"), [(0, []), (1, [1]), (2, [1, 3]), (9, [1, 3, 4])])
def test_the_worst_have_the_least_probable_true_label(predictions, count, worst):
    assert predictions.worst(count) == worst


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    groups = {"train": [5], "validation": [4], "test": [3, 3, 2]}
    return write_cache(tmp_path_factory.mktemp("predicted") / "cache", groups, labels=tuple("abc"))


def predict(pixels: np.ndarray) -> np.ndarray:
    """Predict the class that the image's number leaves over, but for number 11."""
    numbers = pixels[:, 0, 0, 0].astype(int)
    return np.eye(3, dtype=np.float32)[np.where(numbers == 11, 0, numbers % 3)]


def test_every_image_of_a_split_is_predicted_in_the_order_of_the_hashes(cache):
    predictions = predict_split({"it": predict}, cache, "test")["it"]
    numbers = range(9, 17)
    assert predictions.labels == list("abc")
    assert predictions.sha256.tolist() == [f"{number:064x}" for number in numbers]
    assert predictions.paths.tolist() == [f"file:/landing/{number}.jpg" for number in numbers]
    assert predictions.truth.tolist() == ["abc"[number % 3] for number in numbers]
    assert predictions.probabilities.shape == (8, 3)
    assert predictions.worst(5) == [2] and predictions.metrics()["accuracy"] == 7 / 8
    # of 4 × 4 × 3 values two are set
    expected = [(number + 7) / 48 for number in numbers]
    np.testing.assert_allclose(predictions.brightness, expected, rtol=1e-6)
    assert predictions.devices.tolist() == ["1"] * 8
    first = datetime(2026, 7, 13, 0, 9)
    assert predictions.captured_at.tolist() == [first + timedelta(minutes=n) for n in range(8)]


def test_each_of_several_models_predicts_the_same_images(cache):
    models = {"one": predict, "other": lambda pixels: predict(pixels)[:, ::-1]}
    by_model = predict_split(models, cache, "test", labels=list("cba"), threshold=None)
    assert list(by_model) == ["one", "other"]
    assert by_model["other"].metrics()["accuracy"] == 7 / 8
    assert by_model["one"].metrics()["accuracy"] == 1 / 2
    np.testing.assert_array_equal(by_model["one"].sha256, by_model["other"].sha256)


def test_a_keras_model_predicts_as_it_does_outside_training(cache):
    import keras

    model = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dropout(0.5)]
    )
    pixels = np.full((2, 4, 4, 3), 8, np.uint8)
    predicted = keras_predict(model)(pixels)
    assert isinstance(predicted, np.ndarray)
    np.testing.assert_array_equal(predicted, np.full((2, 48), 8, np.float32))
    labels = [str(number) for number in range(48)]
    predictions = predict_by_keras(model, cache, "test", labels)
    np.testing.assert_array_equal(predictions.probabilities[:, 0], np.arange(9, 17))
