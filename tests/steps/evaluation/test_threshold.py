"""The threshold that is chosen on a validation split."""

import numpy as np
import pytest
from made_predictions import make_predictions

from steps.evaluation.predictions import Predictions
from steps.evaluation.threshold import bound_misses, choose_threshold


def validation(first: list[float], second: list[float]) -> Predictions:
    """The second label's probability for images of the first label, and for those of the second."""
    of_second = np.array([*first, *second], np.float32)
    return make_predictions(
        len(of_second),
        probabilities=np.stack([1 - of_second, of_second], 1),
        truth=np.repeat(["a", "b"], [len(first), len(second)]),
    )


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ([0.1, 0.2], [0.8, 0.9], 0.5, 0.5),  # any between is as good: the default
        ([0.01] * 40, [0.2, 0.3, 0.4] * 20, 0.01, 0.2),  # the default predicts it too rarely
        ([0.6, 0.7] * 30, [0.9] * 30, 0.7, 0.9),  # the default predicts it too often
        ([0.1] * 30 + [0.51], [0.9] * 30, 0.5, 0.5),  # one image is too few
        ([], [0.1, 0.2], 0.5, 0.5),  # nothing to choose by
    ],
)
def test_the_threshold_is_the_default_unless_another_is_clearly_better(first, second, low, high):
    assert low <= choose_threshold(validation(first, second)) <= high


@pytest.mark.parametrize(
    ("own", "others", "rate", "value", "misses"),
    [
        ([0.4, 0.6, 0.8, 0.9, 1.0], [0.1], 0.5, 0.25, 0),  # half-way to the next lower one
        ([0.4, 0.6, 0.8, 0.9, 1.0], [0.3, 0.7], 0.5, 0.35, 0),
        ([0.4, 0.6, 0.8, 0.9, 1.0], [0.5], 0.5, 0.2, 0),  # none is lower
        ([0.4, 0.6, 0.8, 0.9, 1.0], [], 0.7, 0.5, 1),
        ([0.4, 0.6, 0.8, 0.9, 1.0], [0.5], 0.7, 0.5, 1),  # 0.55 would be kept, to no avail
        ([0.6, 0.7, 0.8, 0.9, 1.0], [0.5], 0.7, 0.5, 0),
        ([0.4, 0.4, 0.8, 0.9, 1.0], [0.5], 0.7, 0.2, 0),  # both are missed or none
        ([0.0, 0.6, 0.8, 0.9, 1.0], [0.5], 0.5, 0.0, 0),  # at any cost
    ],
)
def test_the_threshold_is_below_the_first_image_that_must_be_found(
    own, others, rate, value, misses
):
    scores = np.array([*own, *others])
    truth = np.repeat(["c", "a"], [len(own), len(others)])
    found = np.stack([(1 - scores) / 2, (1 - scores) / 2, scores], 1)
    threshold = bound_misses(f"c={rate}", list("abc"), found, truth)
    assert threshold.value == pytest.approx(value)
    assert (threshold.label, threshold.rate) == ("c", rate)
    assert (threshold.images, threshold.misses) == (5, misses)
