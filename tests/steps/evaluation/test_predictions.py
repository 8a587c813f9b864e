"""The judgement of a part, against values worked out by hand."""

import math
from datetime import datetime, timedelta

import numpy as np
import pytest
from small_cache import write_cache

from steps.evaluation.predictions import Evaluation, evaluate, images_of, keras_predict

PROBABILITIES = [
    [0.7, 0.2, 0.1],  # a, right
    [0.1, 0.8, 0.1],  # a, said b
    [0.3, 0.6, 0.1],  # b, right
    [0.9, 0.1, 0.0],  # b, said a
    [0.5, 0.4, 0.1],  # c, said a
]
CLASSES = [0, 0, 1, 1, 2]


def judgement(probabilities: list[list[float]], classes: list[int], threshold=None) -> Evaluation:
    """Of images numbered from 0, an hour apart, of two cameras, ever brighter."""
    count = len(classes)
    moments = [datetime(2026, 7, 13) + timedelta(hours=n) for n in range(count)]
    return Evaluation(
        list("abc"[: len(probabilities[0])]),
        np.array(probabilities, np.float32),
        np.array(classes),
        [f"file:/landing/{n}.jpg" for n in range(count)],
        30.0 * np.arange(count),
        ["1" if n % 2 else None for n in range(count)],
        np.array(moments, "datetime64[ns]"),
        threshold,
    )


@pytest.fixture
def judged() -> Evaluation:
    return judgement(PROBABILITIES, CLASSES)


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
        ("precision_c", 0),  # never said
        ("pr_auc_a", (1 / 2 + 2 / 5) / 2),  # by a's probability: b, a, c, b, a
        ("pr_auc_b", (1 / 2 + 2 / 5) / 2),  # by b's probability: a, b, c, a, b
        ("pr_auc_c", 1 / 4),  # four alike, one of them right, before the one at 0
        # said with .7 .8 .6 .9 .5, of which the first and the third are right
        ("calibration_error", (0.3 + 0.8 + 0.4 + 0.9 + 0.5) / 5),
    ],
)
def test_metrics(judged, name, expected):
    assert judged.metrics()[name] == pytest.approx(expected, rel=1e-6)
    assert set(judged.metrics()) == {"accuracy", "log_loss", "calibration_error"} | {
        f"{kind}_{label}" for kind in ("recall", "precision", "pr_auc") for label in "abc"
    }


def test_being_sure_and_wrong_costs_much_and_not_without_end():
    judged = judgement([[1.0, 0.0], [1.0, 0.0]], [0, 1])
    assert judged.metrics()["log_loss"] == pytest.approx(-math.log(1e-7) / 2, rel=1e-5)


def test_confusion_has_true_labels_by_row(judged):
    assert judged.predicted.tolist() == [0, 1, 1, 0, 0]
    assert judged.confusion().tolist() == [[1, 1, 0], [1, 1, 0], [1, 0, 0]]


def test_a_threshold_says_from_where_on_the_second_label_is_said():
    said = judgement([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8]], [0, 1, 1], threshold=0.4)
    assert said.predicted.tolist() == [0, 1, 1] and said.metrics()["accuracy"] == 1
    assert said.confusion().tolist() == [[1, 0], [0, 2]]


def test_some_of_the_images_are_judged_alone(judged):
    some = judged.only(judged.classes == 1)
    assert some.paths == ["file:/landing/2.jpg", "file:/landing/3.jpg"]
    assert some.devices == [None, "1"] and some.brightness.tolist() == [60, 90]
    metrics = some.metrics()
    assert metrics["accuracy"] == 1 / 2 and "recall_a" not in metrics


@pytest.mark.parametrize(("count", "worst"), [(0, []), (1, [1]), (2, [1, 3]), (9, [1, 3, 4])])
def test_the_worst_give_the_truth_the_least(judged, count, worst):
    assert judged.worst(count) == worst


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    groups = {"train": [5], "validation": [4], "test": [3, 3, 2]}
    return write_cache(tmp_path_factory.mktemp("judged") / "cache", groups, labels=tuple("abc"))


def test_every_image_of_a_part_is_judged_in_the_order_of_the_cache(cache):
    def predict(pixels: np.ndarray) -> np.ndarray:
        """Says the class that the image's number leaves over, but for number 11."""
        numbers = pixels[:, 0, 0, 0].astype(int)
        return np.eye(3, dtype=np.float32)[np.where(numbers == 11, 0, numbers % 3)]

    judged = evaluate(predict, cache, "test")
    numbers = range(9, 17)
    assert judged.labels == list("abc")
    assert judged.paths == [f"file:/landing/{number}.jpg" for number in numbers]
    assert judged.classes.tolist() == [number % 3 for number in numbers]
    assert judged.probabilities.shape == (8, 3)
    assert judged.worst(5) == [2] and judged.metrics()["accuracy"] == 7 / 8
    # of 4 × 4 × 3 values two are set
    expected = [(number + 7) / 48 for number in numbers]
    np.testing.assert_allclose(judged.brightness, expected, rtol=1e-6)
    assert judged.devices == ["1"] * 8
    first = np.datetime64("2026-07-13T00:09", "ns")
    assert judged.captured_at.tolist() == [
        (first + np.timedelta64(n, "m")).astype("datetime64[ns]").item() for n in range(8)
    ]


def test_images_are_found_by_their_paths(cache):
    paths = ["file:/landing/16.jpg", "file:/landing/9.jpg", "file:/landing/4.jpg"]
    found = images_of(cache, "test", paths)
    assert set(found) == set(paths[:2])  # number 4 is of another part
    for number, path in ((16, paths[0]), (9, paths[1])):
        assert found[path].shape == (4, 4, 3) and found[path][0, 0, 0] == number


def test_a_keras_model_predicts_as_it_does_outside_training():
    import keras

    model = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dropout(0.5)]
    )
    pixels = np.full((2, 4, 4, 3), 8, np.uint8)
    predicted = keras_predict(model)(pixels)
    assert isinstance(predicted, np.ndarray)
    np.testing.assert_array_equal(predicted, np.full((2, 48), 8, np.float32))
