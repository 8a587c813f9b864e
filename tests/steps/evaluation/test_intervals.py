"""Intervals, against the literature's numbers and draws whose truth is known."""

import os

import numpy as np
import pytest

from steps.evaluation.intervals import bootstrap, prediction_interval, wilson

CASES = int(os.environ.get("CASES", "40"))


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


def test_the_interval_covers_an_unseen_day():
    covered, widths = 0, []
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        accuracies = 1 / (1 + np.exp(-rng.normal(3.5, 0.7, 8)))
        right = np.concatenate([rng.random(30) < one for one in accuracies[:-1]])
        low, high = prediction_interval(right, np.repeat(np.arange(7), 30).astype(str))
        covered += low <= (rng.random(200) < accuracies[-1]).mean() <= high
        widths.append(high - low)
    assert covered >= 0.9 * CASES and np.median(widths) <= 0.15


def test_days_without_a_mistake_may_be_followed_by_another():
    low, high = prediction_interval(np.ones(80, bool), np.repeat(list("abcd"), 20))
    assert 0.8 < low < 1 and high == 1
