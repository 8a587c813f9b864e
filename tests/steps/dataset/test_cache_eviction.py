"""Which caches are evicted when they take too much space, and what an interrupted write leaves."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from steps.dataset.cache_eviction import evict_caches, mark_used

NOW = datetime(2026, 7, 20, tzinfo=UTC)


def _folder(root: Path, letter: str, days: float, finished: bool = True, attempts: int = 0) -> str:
    """A cache of 1000 bytes that was last used so many days ago."""
    name = letter * 16
    for number in range(attempts + finished):
        attempt = root / name / f"{number:032x}"
        attempt.mkdir(parents=True)
        (attempt / "x.parquet").write_bytes(b"x" * 1000)
    if finished:
        url = f"file://{root}/{name}/{attempts:032x}"
        (root / name / "manifest.json").write_text(json.dumps({"url": url}))
    mark_used(str(root / name))
    touched = (NOW - timedelta(days=days)).timestamp()
    for path in (root / name).rglob("*"):
        os.utime(path, (touched, touched))
    return name


@pytest.mark.parametrize(
    ("limit", "left"),
    [(10_000, "abcd"), (3_900, "bcd"), (2_500, "cd"), (0, "cd")],
)
def test_the_longest_unused_are_evicted_first_and_those_in_use_stay(tmp_path, limit, left):
    for letter, days in (("b", 5), ("a", 9), ("d", 0.1), ("c", 8)):
        _folder(tmp_path, letter, days)
    (tmp_path / "checkpoints").mkdir()
    evict_caches(str(tmp_path), limit, spare="c" * 16, now=NOW)
    assert {path.name for path in tmp_path.iterdir()} == {
        "checkpoints",
        *(letter * 16 for letter in left),
    }


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(("days", "stays"), [(0.1, True), (2, False)])
def test_an_interrupted_attempt_is_removed_once_no_step_can_be_writing_it(
    tmp_path, finished, days, stays
):
    name = _folder(tmp_path, "a", days, finished, attempts=1)
    removed = evict_caches(str(tmp_path), 10_000, spare="", now=NOW)
    assert (tmp_path / name / f"{0:032x}").exists() == stays
    assert removed == ([] if stays else [f"{name}/{0:032x}"])
    assert (tmp_path / name / f"{1:032x}").exists() == finished


@pytest.mark.parametrize(("days", "stays"), [(29, True), (31, False)])
def test_checkpoints_are_kept_for_a_month(tmp_path, days, stays):
    checkpoint = tmp_path / "checkpoints" / "run" / "epoch-0003.npz"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"x")
    touched = (NOW - timedelta(days=days)).timestamp()
    os.utime(checkpoint, (touched, touched))
    removed = evict_caches(str(tmp_path), 10_000, spare="", now=NOW)
    assert checkpoint.exists() == stays and removed == ([] if stays else ["checkpoints/run"])


@pytest.mark.parametrize("when", ["2026-07-19T23:00:00+00:00", NOW - timedelta(hours=1)])
@pytest.mark.parametrize("name", ["mtime", "last_modified"])
def test_each_file_system_names_the_time_of_change_in_its_own_way(
    tmp_path, monkeypatch, when, name
):
    left = _folder(tmp_path, "a", 9, finished=False, attempts=1)
    find = LocalFileSystem.find

    def find_with(self, *arguments, **options):
        found = find(self, *arguments, **options)
        return {path: {"size": 0, "type": "file", name: when} for path in found}

    monkeypatch.setattr(LocalFileSystem, "find", find_with)
    assert evict_caches(str(tmp_path), 10_000, spare="", now=NOW) == []
    assert (tmp_path / left).exists()
