"""Discordant pairs, against worked examples.

As in McNemar's table, ``b`` images are classified by the champion alone, ``c`` by the challenger
alone.
"""

import math

import numpy as np
import pytest
from made_predictions import make_predictions

from steps.evaluation.paired_counts import PairedCounts, pair


@pytest.mark.parametrize(
    ("b", "c", "p"),
    [(0, 0, 1.0), (5, 5, 1.0), (0, 6, 0.03125), (1, 9, 0.021484375)],
)
def test_mcnemar_is_the_exact_binomial(b, c, p):
    assert PairedCounts(100, b, c).mcnemar() == pytest.approx(p)


def test_tangos_score_is_that_of_his_example():
    """Two ways to disinfect contact lenses, 44 people: both work for 43, for one only the old
    one does; Tango gives Z = 1.709 against a margin of 0.1."""
    assert PairedCounts(44, only_champion=1, only_challenger=0).score(0.1) == pytest.approx(
        1.709, abs=0.001
    )


@pytest.mark.parametrize("b", [0, 3, 10])
def test_the_score_solves_the_likelihood(b):
    """The score's rate of ``b`` is the most likely one, found here by trying all."""
    n, c, margin = 120, 4, 0.05
    rates = np.linspace(margin + 1e-9, 0.9, 200_000)
    likelihood = (
        b * np.log(rates)
        + c * np.log(rates - margin)
        + (n - b - c) * np.log(np.clip(1 - 2 * rates + margin, 1e-300, None))
    )
    rate = rates[likelihood.argmax()]
    expected = (c - b + n * margin) / math.sqrt(n * (2 * rate - margin - margin**2))
    assert PairedCounts(n, b, c).score(margin) == pytest.approx(expected, rel=1e-3)


def test_discordant_pairs_are_images_on_which_one_model_alone_is_correct():
    probabilities = {"+": [0.9, 0.1], "-": [0.1, 0.9]}  # correct, wrong
    challenger, champion = (
        make_predictions(5, probabilities=np.array([probabilities[one] for one in model]))
        for model in ("+---+", "-++-+")
    )
    paired = pair(challenger, champion)
    assert (paired.images, paired.only_challenger, paired.only_champion) == (5, 1, 2)


def test_predictions_of_different_images_are_no_pairs():
    with pytest.raises(RuntimeError, match="different images"):
        pair(make_predictions(5), make_predictions(6))
