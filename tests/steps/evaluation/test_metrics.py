"""Metrics and their intervals, against the literature's numbers and another implementation's."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from steps.evaluation.metrics import average_precision, bootstrap, calibration_error, wilson


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_equals_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 20, 60) / 20  # with ties
    true = rng.random(60) < 0.3
    expected = average_precision_score(true, scores)
    assert average_precision(scores, true) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("correct", "count", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), 857–872, table I, method 3
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval(correct, count, low, high):
    assert wilson(correct, count) == pytest.approx((low, high), abs=5e-5)


def test_confidence_that_holds_has_no_calibration_error():
    confidence = np.repeat([0.75, 0.95], [4, 20])
    correct = np.repeat([True, False, True, False], [3, 1, 19, 1])
    assert calibration_error(confidence, correct) == pytest.approx(0)
    assert calibration_error(np.ones(10), np.arange(10) < 6) == pytest.approx(0.4)
    assert calibration_error(np.array([0.55, 0.95]), np.array([True, False])) == pytest.approx(0.7)


def test_the_bootstrap_draws_blocks():
    rng = np.random.default_rng(0)
    alike = np.repeat(rng.random(20) < 0.8, 30).astype(float)
    blocks = np.repeat(np.arange(20), 30)
    low, high = bootstrap(alike, blocks)
    assert low < alike.mean() < high
    wide, narrow = high - low, np.subtract(*bootstrap(alike, np.arange(600))[::-1])
    assert wide == pytest.approx(narrow * 30**0.5, rel=0.2)  # as if there were 20, not 600
    assert bootstrap(alike, blocks) == (low, high)
    assert bootstrap(alike, np.zeros(600)) is None
