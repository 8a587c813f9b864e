"""The split rule: what holds for any times, devices and seeds."""

import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import numpy as np
import pytest

from steps.dataset.split import GUARD, SPLITS, TEST, TRAIN, VALIDATION, SplitRule
from steps.settings.profile import PROJECT

START = datetime(2026, 7, 13, tzinfo=UTC)
RULES = [(60, 6, 0), (60, 6, 7), (60, 0, 1), (15, 15, 2), (7, 2, 3), (1, 0, 4)]
SHORT_BLOCKS = [(5, 6, 0), (4, 7, 2), (2, 3, 0)]
"""Blocks shorter than the guard, which then reaches over several of them."""


def _moments(seed: int, count: int = 400, days: int = 20) -> list[datetime]:
    seconds = np.random.default_rng(seed).integers(0, days * 86_400, count)
    return [START + timedelta(seconds=int(second)) for second in sorted(set(seconds))]


def _cycle(rule: SplitRule, number: int, device: str | None) -> list[str]:
    """The splits of the ten blocks of a cycle, each asked in its middle."""
    block = timedelta(minutes=rule.block_minutes)
    first = datetime(1970, 1, 1, tzinfo=UTC) + number * 10 * block
    return [rule.split_of(first + (place + 0.5) * block, device, "ab") for place in range(10)]


@pytest.mark.parametrize("arguments", RULES)
def test_an_image_keeps_its_split_whatever_is_assigned_in_between(arguments):
    rule = SplitRule(*arguments)
    old, new = _moments(0), _moments(1)
    before = [rule.split_of(moment, "3", "ab") for moment in old]
    for moment in new:
        rule.split_of(moment, "3", "cd")
    assert [SplitRule(*arguments).split_of(moment, "3", "ef") for moment in old] == before
    assert len(set(before)) >= 3


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_splits_are_the_same_in_another_process(hash_seed):
    command = (
        "from datetime import datetime, timedelta; from steps.dataset.split import SplitRule;"
        "start = datetime(2026, 7, 13);"
        "print([SplitRule(seed=s).split_of(start + timedelta(hours=h), d, 'a')[:2]"
        " for s in (0, 1) for d in ('1', None) for h in range(12)])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", command],
        cwd=PROJECT,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert printed == str(
        [
            SplitRule(seed=seed).split_of(START + timedelta(hours=hour), device, "a")[:2]
            for seed in (0, 1)
            for device in ("1", None)
            for hour in range(12)
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("arguments", RULES + SHORT_BLOCKS)
@pytest.mark.parametrize("device", ["1", "kit-7", None])
def test_frames_of_two_splits_are_never_closer_than_the_guard(arguments, device):
    rule = SplitRule(*arguments)
    guard = timedelta(minutes=rule.guard_minutes)
    used = []
    for half_minute in range(2 * 60 * 48):
        moment = START + timedelta(seconds=30 * half_minute)
        split = rule.split_of(moment, device, "ab")
        if split != GUARD:
            used.append((moment, split))
    gaps = [
        later - earlier
        for (earlier, split), (later, next_split) in pairwise(used)
        if split != next_split
    ]
    assert gaps and min(gaps) >= guard


def test_only_the_start_of_a_block_after_another_split_is_left_out():
    rule, open_rule = SplitRule(60, 6, 5), SplitRule(60, 0, 5)
    for moment in _moments(2, 2000):
        split, without_guard = (s.split_of(moment, "1", "ab") for s in (rule, open_rule))
        before = open_rule.split_of(moment - timedelta(minutes=6), "1", "ab")
        assert split == (without_guard if before == without_guard else GUARD)


def test_the_guard_ends_after_its_last_second():
    hours = [START + timedelta(hours=hour) for hour in range(48)]
    guarded = [hour for hour in hours if SplitRule().split_of(hour, "1", "ab") == GUARD]
    assert 10 < len(guarded) < 40
    for hour in guarded:
        splits = [
            SplitRule().split_of(hour + timedelta(seconds=second), "1", "ab")
            for second in (-1, 359)
        ]
        assert splits[0] != GUARD and splits[1] == GUARD
        assert SplitRule().split_of(hour + timedelta(seconds=360), "1", "ab") in SPLITS


@pytest.mark.parametrize("arguments", [a for a in RULES if a[1] == 0])
@pytest.mark.parametrize("device", ["1", None])
def test_every_cycle_of_ten_blocks_has_six_two_and_two(arguments, device):
    cycles = [_cycle(SplitRule(*arguments), number, device) for number in range(-20, 200)]
    assert all(Counter(c) == {TRAIN: 6, VALIDATION: 2, TEST: 2} for c in cycles)
    assert len(set(map(tuple, cycles))) > 50


def test_each_place_of_a_cycle_gets_every_split():
    cycles = [_cycle(SplitRule(60, 0, 0), number, "1") for number in range(400)]
    for place in zip(*cycles, strict=True):
        shares = Counter(place)
        assert abs(shares[TRAIN] / 400 - 0.6) < 0.1
        assert abs(shares[VALIDATION] / 400 - 0.2) < 0.1


@pytest.mark.parametrize(("minutes", "guard"), [(60, 6), (30, 3), (10, 1)])
def test_the_guard_leaves_out_no_more_than_its_share(minutes, guard):
    rule = SplitRule(minutes, guard, 3)
    splits = Counter(rule.split_of(moment, "1", "ab") for moment in _moments(4, 8000, days=200))
    shares = {split: count / splits.total() for split, count in splits.items()}
    # a tenth of each block, where its neighbour differs, which about 6 of 10 borders do
    assert 0.03 < shares[GUARD] < 0.08
    assert 0.5 < shares[TRAIN] < 0.62
    assert 0.14 < shares[VALIDATION] < 0.23 and 0.14 < shares[TEST] < 0.23


@pytest.mark.parametrize("offset_hours", [-9, 0, 2])
def test_a_time_counts_by_its_moment_and_a_naive_one_is_utc(offset_hours):
    zone = timezone(timedelta(hours=offset_hours))
    for moment in _moments(5):
        expected = SplitRule().split_of(moment, "1", "ab")
        assert SplitRule().split_of(moment.astimezone(zone), "1", "ab") == expected
        assert SplitRule().split_of(moment.replace(tzinfo=None), "1", "ab") == expected


def test_without_a_time_the_hash_of_the_bytes_decides():
    hashes = [f"{number:064x}" for number in range(5000)]
    splits = [SplitRule().split_of(None, "1", sha256) for sha256 in hashes]
    assert splits == [SplitRule().split_of(None, "2", sha256) for sha256 in hashes]
    shares = Counter(splits)
    assert set(shares) == set(SPLITS)
    assert abs(shares[TRAIN] / 5000 - 0.6) < 0.03
    assert abs(shares[VALIDATION] / 5000 - 0.2) < 0.03
    assert splits != [SplitRule(seed=1).split_of(None, "1", sha256) for sha256 in hashes]


@pytest.mark.parametrize(
    ("rule", "device"),
    [
        (SplitRule(seed=1), "1"),
        (SplitRule(), "2"),
        (SplitRule(), None),
        (SplitRule(block_minutes=30), "1"),
    ],
)
def test_another_seed_device_or_block_is_another_split(rule, device):
    moments = _moments(6)
    splits = [rule.split_of(moment, device, "ab") for moment in moments]
    usual = [SplitRule().split_of(moment, "1", "ab") for moment in moments]
    agreeing = np.mean([a == b for a, b in zip(splits, usual, strict=True)])
    assert agreeing < 0.6  # two independent splits agree in 44 of 100
