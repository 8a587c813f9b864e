"""Alarms come as often as was asked for if nothing changed, and soon if something did."""

import numpy as np
import pytest

from steps.monitoring.detector import (
    BLOCK,
    BLOCKS_PER_MONTH,
    FEWEST,
    USUAL,
    bets,
    find_alarms,
    limit_of,
    p_values,
    to_blocks,
)

MONTHS = 150


def test_a_block_has_the_median_of_its_frames():
    times = np.array([0, 1, 2, BLOCK, BLOCK + 1])
    numbers, medians = to_blocks(times, np.array([1.0, 9.0, 2.0, 4.0, 6.0]))
    assert numbers.tolist() == [0, 1] and medians.tolist() == [[2.0], [5.0]]


@pytest.mark.parametrize(
    ("score", "low", "high"), [(0.5, 0.5, 0.7), (0.99, 0.01, 0.06), (2.0, 0.019, 0.0191)]
)
def test_a_p_value_bounds_the_share_of_blocks_that_are_as_unlike(score, low, high):
    known = np.random.default_rng(0).random((120, 1))
    assert low <= p_values(known, np.array([[score]]))[0, 0] <= high


def test_a_score_that_is_unknown_is_no_evidence():
    known = np.array([[1.0], [np.nan], [3.0]])
    assert p_values(known, np.array([[np.nan]]))[0, 0] == 1
    new = np.array([[4.0]])  # as if the unknown one were as unlike
    assert p_values(known, new)[0, 0] > p_values(np.array([[1.0], [2.0], [3.0]]), new)[0, 0]


def test_a_bet_is_worth_no_more_than_1_on_average():
    p = (np.arange(200_000) + 0.5) / 200_000
    assert 0.9 < bets(p).mean() <= 1


@pytest.mark.parametrize("columns", [1, 64])
def test_false_alarms_are_as_rare_as_was_asked_for(columns):
    """In months without a change; each has training images of its own."""
    rng, alarms, limit = np.random.default_rng(1), 0, limit_of(1, 0.5)
    for _ in range(MONTHS):
        known, new = rng.random((120, columns)), rng.random((BLOCKS_PER_MONTH, columns))
        alarms += len(find_alarms("t", np.arange(len(new)), p_values(known, new), limit))
    assert alarms / MONTHS <= 0.5


@pytest.mark.parametrize("is_over", [False, True])
def test_a_change_is_an_alarm_within_a_day_until_it_is_over(is_over):
    rng = np.random.default_rng(2)
    known, new = rng.random((120, 64)), rng.random((200, 64))
    new[80 : 110 if is_over else None, 7:10] += 2
    blocks = np.arange(1000, 1200)
    (alarm,) = find_alarms("t", blocks, p_values(known, new), limit_of(8, 0.5))
    assert 1078 <= alarm.began // BLOCK <= 1081 and alarm.cell in (7, 8, 9)
    assert 1084 <= alarm.noticed // BLOCK <= 1094
    assert bool(alarm.ended) == is_over
    if alarm.ended:
        assert 1110 <= alarm.ended // BLOCK <= 1125


def test_a_fault_lasts_with_as_few_training_blocks_as_a_test_needs():
    rng = np.random.default_rng(3)
    p = p_values(rng.random((FEWEST, 1)), np.full((400, 1), 9.0))
    assert p.max() < USUAL
    (alarm,) = find_alarms("t", np.arange(400), p, limit_of(8, 0.5))
    assert alarm.ended is None


def test_few_training_blocks_raise_no_alarm_at_once():
    known, new = np.random.default_rng(3).random((20, 1)), np.full((20, 1), 9.0)
    assert not find_alarms("t", np.arange(20), p_values(known, new), limit_of(8, 0.5))
