"""The threshold that a validation part says."""

import numpy as np
import pytest

from steps.evaluation.predictions import Evaluation
from steps.evaluation.threshold import choose_threshold


def _judged(first: list[float], second: list[float], labels: str = "ab") -> Evaluation:
    """By the second label's probability: images of the first label, and of the second."""
    given = np.array([*first, *second], np.float32)
    count = len(given)
    rest = [1 - given, given, *[0 * given] * (len(labels) - 2)]
    classes = np.repeat([0, 1], [len(first), len(second)])
    times = np.full(count, np.datetime64("NaT"), "datetime64[ns]")
    return Evaluation(
        list(labels), np.stack(rest, 1), classes, [""] * count, given, [None] * count, times
    )


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ([0.1, 0.2], [0.8, 0.9], 0.5, 0.5),  # any between is as good: the usual one
        ([0.01] * 40, [0.2, 0.3, 0.4] * 20, 0.01, 0.2),  # far too shy
        ([0.6, 0.7] * 30, [0.9] * 30, 0.7, 0.9),  # far too bold
        ([0.1] * 30 + [0.51], [0.9] * 30, 0.5, 0.5),  # one image is no reason
        ([], [0.1, 0.2], 0.5, 0.5),  # nothing to choose by
    ],
)
def test_the_threshold_is_the_usual_one_unless_another_is_clearly_better(first, second, low, high):
    assert low <= choose_threshold(_judged(first, second)) <= high


def test_more_than_two_labels_have_none():
    assert choose_threshold(_judged([0.1], [0.9], "abc")) is None
