"""Every benchmark starts by its path as well as by its module, and needs no argument."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PROGRAMS = sorted(
    path.relative_to(PROJECT / "benchmarks").with_suffix("").as_posix()
    for path in (PROJECT / "benchmarks").rglob("*.py")
    if "argparse.ArgumentParser(" in path.read_text(encoding="utf-8")
)


def run(folder: Path, *command: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=300
    )


def test_all_programs_are_found():
    assert {"edge", "fleet", "ingest", "peers/ingest", "pipeline", "scoring", "training"} <= set(
        PROGRAMS
    )


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_starts_by_its_path_and_requires_no_argument(program, tmp_path):
    done = run(tmp_path, str(PROJECT / "benchmarks" / f"{program}.py"), "--help")
    assert done.returncode == 0, done.stderr
    assert "positional arguments" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("start", ["path", "module"])
def test_the_last_line_is_json_with_the_full_count(start, tmp_path):
    images = PROJECT.parent / "shared" / "data" / "package-images" / "images"
    if not images.is_dir():
        pytest.skip("the real images are not here: ../shared/data/package-images")
    for path in sorted(images.glob("*.jpg"))[:3]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    program = {
        "path": [str(PROJECT / "benchmarks" / "sampled_statistics.py")],
        "module": ["-m", "benchmarks.sampled_statistics"],
    }[start]
    done = run(PROJECT if start == "module" else tmp_path, *program, "--images", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["files"] == 3


@pytest.mark.slow
def test_the_monitor_notices_a_camera_that_was_moved(tmp_path):
    place = ("--seeds", "1", "--days", "3", "--faults", "moved", "--cache", str(tmp_path))
    done = run(PROJECT, "-m", "benchmarks.monitoring", *place)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["noticed"], result["false_alarms_per_camera_month"]) == (1, 0)
