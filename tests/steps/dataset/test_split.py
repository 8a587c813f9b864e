"""The split rule: what holds for any times, devices and seeds."""

import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import numpy as np
import pytest

from steps.dataset.split import (
    GUARD,
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    SplitRule,
    describe_guard,
)
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


def _every(minutes: float, days: int = 4, start: datetime = START) -> list[datetime]:
    count = int(days * 24 * 60 / minutes)
    return [start + timedelta(minutes=minutes * number) for number in range(count)]


def _assigned(rule: SplitRule, moments: list[datetime], device: str | None = "1") -> list[str]:
    return rule.assign([(moment, device, "ab") for moment in moments])


@pytest.mark.parametrize("arguments", RULES + SHORT_BLOCKS)
@pytest.mark.parametrize("device", ["1", "kit-7", None])
def test_frames_of_two_splits_are_never_closer_than_the_guard(arguments, device):
    rule = SplitRule(*arguments)
    guard = timedelta(minutes=rule.guard_minutes)
    moments = _every(0.5, days=2)
    splits = _assigned(rule, moments, device)
    used = [pair for pair in zip(moments, splits, strict=True) if pair[1] != GUARD]
    gaps = [
        later - earlier
        for (earlier, split), (later, next_split) in pairwise(used)
        if split != next_split
    ]
    assert gaps and min(gaps) >= guard


@pytest.mark.parametrize("arguments", RULES + SHORT_BLOCKS)
def test_only_an_image_soon_after_one_of_another_split_is_left_out(arguments):
    rule, moments = SplitRule(*arguments), _moments(2, 500, 3)
    blocks = [rule.split_of(moment, "1", "ab") for moment in moments]
    for number, split in enumerate(_assigned(rule, moments)):
        near = {
            block
            for block, moment in zip(blocks[:number], moments, strict=False)
            if moments[number] - moment < timedelta(minutes=rule.guard_minutes)
        }
        assert split == (blocks[number] if near <= {blocks[number]} else GUARD)


@pytest.mark.parametrize("hours", [1, 2, 12, 24])
@pytest.mark.parametrize("start", [START, START + timedelta(minutes=3)])
def test_the_guard_leaves_out_nothing_of_a_camera_that_takes_an_image_each_hour(hours, start):
    splits = _assigned(SplitRule(), _every(hours * 60, 120, start))
    assert GUARD not in splits and set(splits) == set(SPLITS)


@pytest.mark.parametrize(("minutes", "most"), [(0.5, 0.08), (1, 0.08), (5, 0.06), (6, 0), (30, 0)])
def test_the_guard_leaves_out_what_the_rate_of_a_camera_makes_close(minutes, most):
    splits = Counter(_assigned(SplitRule(), _every(minutes, 20)))
    assert splits[GUARD] / splits.total() <= most and bool(splits[GUARD]) == bool(most)


def test_a_neighbour_of_another_device_leaves_out_nothing():
    hourly = _every(60, 20)
    before = [moment - timedelta(minutes=1) for moment in hourly]
    both = [(moment, "1", "ab") for moment in hourly] + [(moment, "2", "ab") for moment in before]
    assert GUARD not in SplitRule().assign(both)
    alone = [(moment, None, sha256) for moment, _, sha256 in both]
    assert SplitRule().assign(alone).count(GUARD) > len(hourly) / 2


def test_the_order_of_the_images_and_those_without_a_time_change_nothing():
    images = [(moment, device, "ab") for moment in _moments(7, 900, 9) for device in ("1", "2")]
    expected = dict(zip(images, SplitRule().assign(images), strict=True))
    assert GUARD in expected.values()
    shuffled = [images[number] for number in np.random.default_rng(0).permutation(len(images))]
    untimed = [(None, "1", f"{number:064x}") for number in range(50)]
    found = SplitRule().assign([*untimed, *shuffled])
    assert found[50:] == [expected[image] for image in shuffled]
    assert found[:50] == [SplitRule().split_of(*image) for image in untimed]


def test_a_late_image_moves_no_other_to_another_split():
    moments = _moments(8, 2000)
    early = dict(zip(moments[::2], _assigned(SplitRule(), moments[::2]), strict=True))
    late = dict(zip(moments, _assigned(SplitRule(), moments), strict=True))
    changed = {(early[moment], late[moment]) for moment in early if early[moment] != late[moment]}
    assert changed and all(after == GUARD for _, after in changed)


@pytest.mark.parametrize(("left_out", "advises"), [(0, False), (10, False), (11, True)])
def test_a_guard_above_a_tenth_says_what_to_do(left_out, advises):
    counts = {"train": {"a": 60, "b": 20}, "test": {"a": 20 - left_out}, "guard": {"b": left_out}}
    text = describe_guard(counts)
    assert text.startswith(f"the guard leaves out {left_out} of 100 images ({left_out}.0%)")
    assert ("-P block_minutes=" in text and "-P guard_minutes=" in text) == advises


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
    splits = Counter(_assigned(rule, _every(guard / 3, 40 * minutes / 60)))  # of 960 blocks
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
