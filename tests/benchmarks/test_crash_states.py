"""Power cuts, replayed: every start on what a disk may hold works, and the proof can fail."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.crash_disk import MODELS, Disk
from benchmarks.crash_mutations import NOTICED, REDUNDANT, try_mutations
from benchmarks.crash_recorder import Operation
from benchmarks.crash_states import mutations, record_subject, replay

STATES = int(os.environ.get("STATES", "600"))
"""Of the proof; the numbers in the docs come from the program."""

MUTATIONS = int(os.environ.get("MUTATIONS", "3"))
"""Of each of the two subjects that have most of them; 0 tries all of them."""

PROJECT = Path(__file__).resolve().parents[2]


def operations(root: str, *kinds_and_names: tuple) -> list[Operation]:
    return [
        Operation(kind, f"{root}/{name}".rstrip("/"), *rest)
        for kind, name, *rest in kinds_and_names
    ]


def contents(tmp_path: Path, model: str, *steps: tuple) -> set:
    """What the file may hold after the steps; None where it is not there."""
    disk = Disk(tmp_path, tmp_path, operations(str(tmp_path), *steps), model)
    trees = disk.trees(len(steps), random.Random(1), 20)
    return {tree.get("/file") for tree in trees}


WRITE = ("create", "file"), ("write", "file", "", b"a" * 4096 + b"b")
LEFT = {
    "nothing is synced": (WRITE, {None, b"", b"a" * 4096, b"a" * 4096 + b"b"}, {bytes(4097)}),
    "the file is synced": (
        (*WRITE, ("sync", "file")),
        {b"a" * 4096 + b"b"},
        {None},
    ),
    "file and folder are synced": (
        (*WRITE, ("sync", "file"), ("sync", "")),
        {b"a" * 4096 + b"b"},
        set(),
    ),
}


@pytest.mark.parametrize(("steps", "ordered", "weak_too"), LEFT.values(), ids=LEFT)
def test_what_a_disk_may_hold(tmp_path, steps, ordered, weak_too):
    assert contents(tmp_path, "ordered", *steps) == ordered
    assert contents(tmp_path, "weak", *steps) >= ordered | weak_too


def test_a_file_that_is_renamed_over_another_is_the_old_or_the_new_one(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    steps = ("create", "new"), ("write", "new", "", b"new"), ("rename", "new", f"{tmp_path}/file")
    assert contents(tmp_path, "ordered", *steps) == {b"old", b"new"}
    assert contents(tmp_path, "weak", *steps) == {b"old", b"new", b"", bytes(3)}


def test_what_is_taken_out_is_noticed_or_redundant(tmp_path):
    steps = [
        ("create", ".file"),
        ("write", ".file", "", b"new"),
        *(("site", "file"), ("sync", ".file")),
        *(("site", "name"), ("rename", ".file", f"{tmp_path}/file")),
        *(("site", "folder"), ("sync", "")),
        *(("site", "folder again"), ("sync", "")),
        ("ack", "saved"),
        *(("site", "removal"), ("rename", "old", f"{tmp_path}/.old")),
        *(("unlink", ".old/1"), ("unlink", ".old/2"), ("rmdir", ".old")),
    ]
    (tmp_path / "file").write_bytes(b"before")
    (tmp_path / "old").mkdir()
    for name in "12":
        (tmp_path / "old" / name).touch()
    recorded = operations(str(tmp_path), *steps)
    recorded = [
        one._replace(path=Path(one.path).name) if one.kind in ("site", "ack") else one
        for one in recorded
    ]

    def fault(tree: dict, acknowledged: list[str]) -> str:
        is_half_removed = "/old" in tree and not {"/old/1", "/old/2"} <= tree.keys()
        files = [b"new"] if acknowledged else [b"new", b"before"]
        return "" if tree["/file"] in files and not is_half_removed else "a fault"

    disk = Disk(tmp_path, tmp_path, recorded, "ordered")
    results = try_mutations(disk, recorded, fault)
    assert {result.site: result.what for result in results} == {
        "file (sync)": NOTICED,
        "name (rename)": NOTICED,
        "folder (sync)": REDUNDANT,
        "folder again (sync)": REDUNDANT,
        "removal (rename)": NOTICED,
    }


@pytest.mark.slow
@pytest.mark.parametrize("subject", ["labels", "checkpoints", "keys"])
def test_no_sync_or_rename_can_be_taken_out(tmp_path, subject):
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    recorded = record_subject(subject, tmp_path)
    for model in MODELS:
        found = replay(recorded, model, 100)
        assert set(found) == {"states"} and found["states"] > 5
    results = list(mutations(recorded))
    assert len(results) > 3
    assert {result.what for result in results} == {NOTICED}, results


def run(*options: object) -> dict:
    """Return the last line of the program."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    command = [sys.executable, "-m", "benchmarks.crash_states", *map(str, options)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.proof
def test_every_start_after_a_power_cut_works():
    found = run("--states", STATES)
    assert found["states"] >= 0.5 * STATES
    assert not any(found[kind] for kind in ("lost", "doubled", "without_model", "needs_a_hand"))


@pytest.mark.slow
@pytest.mark.proof
def test_a_sync_or_rename_that_is_taken_out_is_noticed_or_explained():
    some = ("--most", MUTATIONS) if MUTATIONS else ()
    found = run("--states", 0, "--mutations", "--subjects", "update", "outbox", *some)
    assert found["mutations"] == 2 * MUTATIONS or not MUTATIONS
    assert found["unnoticed"] == 0 and found["noticed"] > 0
