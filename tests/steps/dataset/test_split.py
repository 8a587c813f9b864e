"""The split: what holds for any times, devices and seeds."""

import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from steps.dataset.split import GUARD, PARTS, TEST, TRAIN, VALIDATION, Split
from steps.settings.profile import PROJECT

START = datetime(2026, 7, 13, tzinfo=UTC)
SPLITS = [(60, 6, 0), (60, 6, 7), (60, 0, 1), (15, 15, 2), (7, 2, 3), (1, 0, 4)]
SHORT_BLOCKS = [(5, 6, 0), (4, 7, 2), (2, 3, 0)]
"""Blocks shorter than the guard, which then reaches over several of them."""


def _moments(seed: int, count: int = 400, days: int = 20) -> list[datetime]:
    seconds = np.random.default_rng(seed).integers(0, days * 86_400, count)
    return [START + timedelta(seconds=int(second)) for second in sorted(set(seconds))]


def _cycle(split: Split, number: int, device: str | None) -> list[str]:
    """The parts of the ten blocks of a cycle, each asked in its middle."""
    block = timedelta(minutes=split.block_minutes)
    first = datetime(1970, 1, 1, tzinfo=UTC) + number * 10 * block
    return [split.part_of(first + (place + 0.5) * block, device, "ab") for place in range(10)]


@pytest.mark.parametrize("arguments", SPLITS)
def test_an_image_keeps_its_part_whatever_else_is_asked(arguments):
    split = Split(*arguments)
    old, new = _moments(0), _moments(1)
    before = [split.part_of(moment, "3", "ab") for moment in old]
    for moment in new:
        split.part_of(moment, "3", "cd")
    assert [Split(*arguments).part_of(moment, "3", "ef") for moment in old] == before
    assert len(set(before)) >= 3


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_parts_are_the_same_in_another_process(hash_seed):
    command = (
        "from datetime import datetime, timedelta; from steps.dataset.split import Split;"
        "start = datetime(2026, 7, 13);"
        "print([Split(seed=s).part_of(start + timedelta(hours=h), d, 'a')[:2]"
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
            Split(seed=seed).part_of(START + timedelta(hours=hour), device, "a")[:2]
            for seed in (0, 1)
            for device in ("1", None)
            for hour in range(12)
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("arguments", SPLITS + SHORT_BLOCKS)
@pytest.mark.parametrize("device", ["1", "kit-7", None])
def test_frames_of_two_parts_are_never_closer_than_the_guard(arguments, device):
    split = Split(*arguments)
    guard = timedelta(minutes=split.guard_minutes)
    kept = []
    for half_minute in range(2 * 60 * 48):
        moment = START + timedelta(seconds=30 * half_minute)
        part = split.part_of(moment, device, "ab")
        if part != GUARD:
            kept.append((moment, part))
    gaps = [
        later - earlier
        for (earlier, part), (later, next_part) in zip(kept, kept[1:], strict=False)
        if part != next_part
    ]
    assert gaps and min(gaps) >= guard


def test_only_the_start_of_a_block_after_another_part_is_left_out():
    split, open_split = Split(60, 6, 5), Split(60, 0, 5)
    for moment in _moments(2, 2000):
        part, without_guard = (s.part_of(moment, "1", "ab") for s in (split, open_split))
        before = open_split.part_of(moment - timedelta(minutes=6), "1", "ab")
        assert part == (without_guard if before == without_guard else GUARD)


def test_the_guard_ends_after_its_last_second():
    hours = [START + timedelta(hours=hour) for hour in range(48)]
    guarded = [hour for hour in hours if Split().part_of(hour, "1", "ab") == GUARD]
    assert 10 < len(guarded) < 40
    for hour in guarded:
        parts = [
            Split().part_of(hour + timedelta(seconds=second), "1", "ab") for second in (-1, 359)
        ]
        assert parts[0] != GUARD and parts[1] == GUARD
        assert Split().part_of(hour + timedelta(seconds=360), "1", "ab") in PARTS


@pytest.mark.parametrize("arguments", [a for a in SPLITS if a[1] == 0])
@pytest.mark.parametrize("device", ["1", None])
def test_every_cycle_of_ten_blocks_has_six_two_and_two(arguments, device):
    cycles = [_cycle(Split(*arguments), number, device) for number in range(-20, 200)]
    assert all(Counter(c) == {TRAIN: 6, VALIDATION: 2, TEST: 2} for c in cycles)
    assert len(set(map(tuple, cycles))) > 50


def test_each_place_of_a_cycle_gets_every_part():
    cycles = [_cycle(Split(60, 0, 0), number, "1") for number in range(400)]
    for place in zip(*cycles, strict=True):
        shares = Counter(place)
        assert abs(shares[TRAIN] / 400 - 0.6) < 0.1
        assert abs(shares[VALIDATION] / 400 - 0.2) < 0.1


@pytest.mark.parametrize(("minutes", "guard"), [(60, 6), (30, 3), (10, 1)])
def test_the_guard_costs_no_more_than_its_share(minutes, guard):
    split = Split(minutes, guard, 3)
    parts = Counter(split.part_of(moment, "1", "ab") for moment in _moments(4, 8000, days=200))
    shares = {part: count / parts.total() for part, count in parts.items()}
    # a tenth of each block, where its neighbour differs, which about 6 of 10 borders do
    assert 0.03 < shares[GUARD] < 0.08
    assert 0.5 < shares[TRAIN] < 0.62
    assert 0.14 < shares[VALIDATION] < 0.23 and 0.14 < shares[TEST] < 0.23


@pytest.mark.parametrize("offset_hours", [-9, 0, 2])
def test_a_time_counts_by_its_moment_and_a_naive_one_is_utc(offset_hours):
    zone = timezone(timedelta(hours=offset_hours))
    for moment in _moments(5):
        expected = Split().part_of(moment, "1", "ab")
        assert Split().part_of(moment.astimezone(zone), "1", "ab") == expected
        assert Split().part_of(moment.replace(tzinfo=None), "1", "ab") == expected


def test_without_a_time_the_hash_of_the_bytes_decides():
    hashes = [f"{number:064x}" for number in range(5000)]
    parts = [Split().part_of(None, "1", sha256) for sha256 in hashes]
    assert parts == [Split().part_of(None, "2", sha256) for sha256 in hashes]
    shares = Counter(parts)
    assert set(shares) == set(PARTS)
    assert abs(shares[TRAIN] / 5000 - 0.6) < 0.03
    assert abs(shares[VALIDATION] / 5000 - 0.2) < 0.03
    assert parts != [Split(seed=1).part_of(None, "1", sha256) for sha256 in hashes]


@pytest.mark.parametrize(
    ("split", "device"),
    [(Split(seed=1), "1"), (Split(), "2"), (Split(), None), (Split(block_minutes=30), "1")],
)
def test_another_seed_device_or_block_is_another_split(split, device):
    moments = _moments(6)
    parts = [split.part_of(moment, device, "ab") for moment in moments]
    usual = [Split().part_of(moment, "1", "ab") for moment in moments]
    agreeing = np.mean([a == b for a, b in zip(parts, usual, strict=True)])
    assert agreeing < 0.6  # two independent splits agree in 44 of 100
