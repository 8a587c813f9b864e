"""A disk that is full or too small: the release is refused, and the old model scores on."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from release_server import MODEL, PUBLIC_KEY

from edge.files.disk_space import SpaceError

PROJECT = Path(__file__).parents[3]


def test_a_release_that_would_leave_too_little_is_not_fetched(updated):
    with pytest.raises(SpaceError, match="have to stay free"):
        updated.updater(reserve=1 << 60).check()
    assert updated.server.fetched() == [] and updated.require_working(1)


ON_A_SMALL_DISK = """
import pathlib, subprocess, sys
sys.path[:0] = [{project!r}, {tests!r}]
from edge.update.current import CurrentModel
from edge.update.registry import Registry
from edge.files.disk_space import SpaceError
from edge.update.updater import Updater

disk = pathlib.Path({disk!r})
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk], check=True)
subprocess.run(["cp", "-a", {models!r}, disk / "models"], check=True)
home = disk / "models" / {model!r}
registry = Registry({server!r})
updater = Updater(registry, {model!r}, "champion", disk / "models", {keys!r}, 1, reserve=0)
for reserve in range(0, 40, 4):
    with open(disk / "filler", "wb", buffering=0) as filler:  # leaves some KiB, 40 at most
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass
        filler.truncate(max(0, filler.tell() - 1024 * reserve))
    try:
        updater.check()
        print("taken with", reserve, "KiB")
        break
    except SpaceError as error:
        print("refused:", error)
    assert CurrentModel(home, threads=1).release == 1, "the old model is gone"
    (disk / "filler").unlink()
(disk / "filler").unlink(missing_ok=True)
updater.check()
assert CurrentModel(home, threads=1).release == 2, "it has not recovered"
"""


def test_a_disk_that_fills_up_at_any_point_of_an_update(updated, tmp_path):
    """On a real file system of 256 KiB, with less and less left on it."""
    (tmp_path / "disk").mkdir()
    code = ON_A_SMALL_DISK.format(
        project=str(PROJECT),
        tests=str(PROJECT / "tests" / "edge"),
        disk=str(tmp_path / "disk"),
        models=str(updated.models),
        model=MODEL,
        server=updated.server.address,
        keys=[PUBLIC_KEY],
    )
    command = ["unshare", "--mount", "--map-root-user", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode and "unshare" in done.stderr:
        pytest.skip(f"NOT PROVEN HERE: no file system of its own ({done.stderr.strip()})")
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    refused = [line for line in done.stdout.splitlines() if line.startswith("refused:")]
    assert any("bytes and 0 have to stay free" in line for line in refused)
    assert any("No space left on device: delete something there" in line for line in refused)


def test_a_write_that_the_system_refuses_half_way(updated):
    """The limit of a file's size stands for a quota: it hits in the middle of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(SpaceError, match="File too large: delete something there"):
            updated.updater().check()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert updated.require_working(1)
    assert updated.updater().check().release == 2
