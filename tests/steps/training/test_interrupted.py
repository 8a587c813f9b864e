"""A training on two ranks that is interrupted twice and ends with the weights of one that is not.

Once a rank is killed, once the launcher.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from mlflow import MlflowClient

from steps.dataset.cache import Cache
from steps.pipeline.outputs import Selection
from steps.settings.profile import PROJECT
from steps.training.checkpoints import TrainingFingerprint, save_checkpoint
from steps.training.plan import Plan
from steps.training.rank_errors import describe_ended_rank

PLAN = Plan(width=0.5, epochs=14)
FINGERPRINT = TrainingFingerprint(
    PLAN,
    Selection(
        table="/lake/images",
        version=3,
        source="file:/landing",
        input_size=(32, 32),
        block_minutes=10,
        guard_minutes=1,
        split_seed=0,
    ),
    processes=2,
)
DRIVER = """
import json, sys
import numpy as np
from pathlib import Path
from steps.errors import UserError
from steps.dataset.cache import Cache
from test_interrupted import PLAN, FINGERPRINT, save_into
from steps.training.checkpoints import load_checkpoint
from steps.training.launcher import launch
from steps.settings.profile import load_profile

cache, home, run_id, before = json.loads(sys.argv[1])
cache = Cache(**{**cache, "input_size": tuple(cache["input_size"])})
profile = load_profile("local").model_copy(update={"cache": home})
start = load_checkpoint(profile, before, FINGERPRINT) if before else None
try:
    own = save_into(home, run_id)
    result = launch("horovod", 2, PLAN, cache, None, run_id, own, start)
except UserError as error:
    sys.exit(str(error))
np.savez(Path(home, run_id), *result.weights)
print("epochs", len(result.epochs), result.best)
"""


def save_into(home: str, run_id: str) -> partial:
    return partial(save_checkpoint, f"{home}/checkpoints/{run_id}", FINGERPRINT)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Process name: 1\nExit code: 137\n", "rank 1 was killed by SIGKILL"),
        ("Process name: 0\nExit code: -11\n", "rank 0 was killed by SIGSEGV"),
        ("Process name: 1\nExit code: None\n", "the machine of rank 1 was lost"),
        ("Process name: 1\nExit code: 68\n", "on a worker, the worker's own name leads to no"),
        ("Process name: 1\nExit code: 1\n", None),  # its own error, which it has printed itself
        ("no rank here", None),
    ],
)
def test_what_ended_a_rank_is_said(message, expected):
    found = describe_ended_rank(message)
    assert found is None if expected is None else found.startswith(expected)


@pytest.fixture
def start(store, tmp_path, bright_cache: Cache):
    """Starts the training in a process of its own; returns it and the run's ID."""
    folders = [str(PROJECT), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    path = os.pathsep.join(filter(None, folders))
    started = []

    def begin(before: str = "") -> tuple[subprocess.Popen, str]:
        run_id = MlflowClient().create_run("0").info.run_id
        arguments = json.dumps([asdict(bright_cache), str(tmp_path), run_id, before])
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, arguments],
            env=os.environ | {"PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, run_id

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()


def _wait_for_epoch(home: Path, run_id: str, process: subprocess.Popen, epoch: int) -> None:
    folder = home / "checkpoints" / run_id
    while not any(int(path.stem[-4:]) >= epoch for path in folder.glob("*.npz")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


def _ranks(process: subprocess.Popen) -> list[psutil.Process]:
    """The processes that train, in the order of their ranks."""
    found = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if re.search(r"python\S* -m horovod.runner.run_task", " ".join(child.cmdline()))
        and child.name() != "sh"
    ]
    return sorted(found, key=lambda rank: int(rank.environ()["HOROVOD_RANK"]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "returned"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, -signal.SIGTERM)]
)
def test_a_signal_ends_the_ranks_and_is_not_a_failure(start, tmp_path, number, returned):
    process, run_id = start()
    _wait_for_epoch(tmp_path, run_id, process, 1)
    ranks = _ranks(process)
    os.kill(process.pid, number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == returned and "was killed" not in error
    assert len(ranks) == 2 and not psutil.wait_procs(ranks, timeout=30)[1]


@pytest.mark.slow
def test_ranks_that_lose_each_other_end_with_a_line(start, tmp_path, monkeypatch):
    monkeypatch.setenv("HOROVOD_GLOO_TIMEOUT_SECONDS", "3")
    process, run_id = start()
    _wait_for_epoch(tmp_path, run_id, process, 1)
    silent = _ranks(process)[1]
    silent.suspend()
    time.sleep(5)
    silent.resume()
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1 and "the ranks lost the connection to each other" in error


@pytest.mark.slow
@pytest.mark.proof
def test_a_training_that_is_killed_twice_ends_with_the_weights_of_one_that_is_not(start, tmp_path):
    uninterrupted, uninterrupted_id = start()
    out, error = uninterrupted.communicate(timeout=300)
    assert uninterrupted.returncode == 0, error

    first, first_id = start()
    _wait_for_epoch(tmp_path, first_id, first, 2)
    ranks = _ranks(first)
    assert len(ranks) == 2
    killed_at = time.monotonic()
    ranks[1].send_signal(signal.SIGKILL)
    _, error = first.communicate(timeout=60)  # a minute at the most, however busy the machine
    print(f"a killed rank ended the job after {time.monotonic() - killed_at:.1f} s")
    assert first.returncode == 1
    assert re.search("rank [01] was killed by SIG.* which ended the other ranks too", error)
    assert not psutil.wait_procs(ranks, timeout=30)[1]

    second, second_id = start(first_id)
    _wait_for_epoch(tmp_path, second_id, second, 6)
    ranks = _ranks(second)
    second.kill()
    assert not psutil.wait_procs(ranks, timeout=60)[1], "ranks outlived their launcher"

    third, third_id = start(second_id)
    again, error = third.communicate(timeout=300)
    assert third.returncode == 0, error
    assert again.splitlines()[-1] == out.splitlines()[-1]
    expected, got = (np.load(tmp_path / f"{run_id}.npz") for run_id in (uninterrupted_id, third_id))
    assert expected.files == got.files
    for name in expected.files:
        np.testing.assert_array_equal(got[name], expected[name])
