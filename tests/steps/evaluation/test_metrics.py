"""Metrics, against another implementation's."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from steps.evaluation.metrics import average_precision, calibration_error


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_equals_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 20, 60) / 20  # with ties
    true = rng.random(60) < 0.3
    expected = average_precision_score(true, scores)
    assert average_precision(scores, true) == pytest.approx(expected)


def test_confidence_that_holds_has_no_calibration_error():
    confidence = np.repeat([0.75, 0.95], [4, 20])
    correct = np.repeat([True, False, True, False], [3, 1, 19, 1])
    assert calibration_error(confidence, correct) == pytest.approx(0)
    assert calibration_error(np.ones(10), np.arange(10) < 6) == pytest.approx(0.4)
    assert calibration_error(np.array([0.55, 0.95]), np.array([True, False])) == pytest.approx(0.7)
