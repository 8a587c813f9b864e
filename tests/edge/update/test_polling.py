"""When devices ask: reproducibly, spread over the period, and never more than they should."""

from collections import Counter

import pytest

from edge.update.polling import JITTER, PollTimes

PERIOD, FLEET = 300.0, 1000


def test_a_device_has_its_own_rhythm():
    one, same, other = (PollTimes(PERIOD, seed) for seed in ("porch", "porch", "garden"))
    waits = [times.first() for times in (one, same, other)]
    assert waits[0] == waits[1] != waits[2]
    assert one.next(0) == same.next(0) != other.next(0)


def test_a_fleet_that_starts_together_does_not_ask_together():
    """In no second of the first three periods come more than three times the mean."""
    asked = Counter()
    for device in range(FLEET):
        times = PollTimes(PERIOD, device)
        moment = times.first()
        while moment < 3 * PERIOD:
            asked[int(moment)] += 1
            moment += times.next(failures=0)
    mean = FLEET / PERIOD
    assert max(asked.values()) <= 3 * mean + 3
    assert sum(asked.values()) == pytest.approx(3 * FLEET, rel=0.05)


def test_waits_grow_with_failures_and_stay_bounded():
    times = PollTimes(PERIOD, "porch", longest=3600)
    for failures in (1, 2, 3, 10, 10_000):
        longest = min(3600, PERIOD * 2 ** min(failures, 10))
        assert all(longest / 2 <= times.next(failures) <= longest for _ in range(200))
    for _ in range(200):
        assert (1 - JITTER) * PERIOD <= times.next(0) <= (1 + JITTER) * PERIOD


def test_without_a_model_it_asks_after_5_10_20_seconds_and_once_a_period_at_least():
    times = PollTimes(PERIOD, "porch")
    for failures, longest in ((1, 5), (2, 10), (3, 20), (4, 40), (20, PERIOD)):
        waits = [times.next(failures, has_model=False) for _ in range(200)]
        assert all(longest / 2 <= wait <= longest for wait in waits)


def test_a_period_longer_than_the_longest_wait_is_kept():
    times = PollTimes(7200, "porch", longest=3600)
    assert 3600 <= times.next(failures=5) <= 7200
