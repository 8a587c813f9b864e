"""SIGKILL before every change of an update, then a start: the model in use always works."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from release_server import PUBLIC_KEY, cut, is_file

from edge.update.current import CurrentModel
from edge.update.errors import NoModelError
from edge.update.home import MAX_ATTEMPTS

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("KILLS", "20"))
"""At random moments, in the proof."""

PROJECT = Path(__file__).parents[3]
PROCESS = Path(__file__).with_name("updating_process.py")


def run(device, then="commit", *killed_before: str) -> subprocess.Popen:
    arguments = [device.server.address, device.models, PUBLIC_KEY, then, *killed_before]
    return subprocess.Popen(
        [sys.executable, PROCESS, *arguments],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen) -> tuple[bool, list[str]]:
    """Wait for the process; return whether it was killed, and the changes that it made."""
    changes, said = process.communicate(timeout=120)
    assert process.returncode in (0, -signal.SIGKILL), said
    return process.returncode != 0, changes.splitlines()


def killed_copies(device, tmp_path, then="commit"):
    """Yield a copy of a device for each change of an update, killed before it; and the change."""
    complete = device.copy(tmp_path / "complete")
    _, changes = end(run(complete, then))
    assert len(changes) > 10
    for number, change in enumerate(changes):
        copy = device.copy(tmp_path / str(number))
        assert end(run(copy, then, f"^{number + 1} "))[0], change
        yield copy, change


def require_clean(device, *releases: int) -> None:
    kept = {path.name for path in device.home.iterdir()}
    assert kept == {"current", "update.json", *(f"release-{n}" for n in releases)}


def test_an_update_killed_before_any_change_is_resumed(updated, tmp_path):
    expected = 1
    for device, change in killed_copies(updated, tmp_path):
        assert device.require_working(1, 2) == expected, change
        if "current.new" in change and "os.rename" in change:
            expected = 2
        updater = device.updater()
        updater.probation.recover()
        updater.check()
        assert device.require_working(2) and updater.refusal is None, change
        updater.probation.commit()
        updater.home.clean_up()
        require_clean(device, 1, 2)
    assert expected == 2
    device.release(3)
    updater.check()
    updater.probation.commit()
    assert device.require_working(3)
    require_clean(device, 2, 3)


def test_a_rollback_killed_before_any_change_is_finished(updated, tmp_path):
    updated.updater().check()
    finished = 0
    for device, change in killed_copies(updated, tmp_path, "rollback"):
        device.require_working(1, 2)
        updater = device.updater()
        is_recorded = "as the test wants" in (device.home / "update.json").read_text()
        updater.probation.recover()
        if is_recorded:
            assert device.require_working(1) and not updater.probation.is_active(), change
            assert updater.check() is None and "as the test wants" in updater.refusal, change
            assert device.require_working(1)
            finished += 1
        else:
            assert updater.probation.is_active() and device.require_working(2), change
    assert finished > 5


@pytest.mark.proof
def test_a_first_installation_that_is_killed_leaves_no_model_or_a_complete_one(device, tmp_path):
    device.models.mkdir()
    for killed, change in killed_copies(device, tmp_path):
        try:
            CurrentModel(killed.home)
        except NoModelError as error:
            assert "no model in" in str(error)  # noqa: PT017  # either outcome is right
        else:
            assert killed.require_working(1)
        assert not end(run(killed))[0], change
        assert killed.require_working(1)
        require_clean(killed, 1)


def test_an_update_killed_in_the_middle_of_a_download_is_resumed(updated):
    """The server kills the process when it has sent half of a file."""
    processes = []

    def kill(handler):
        if is_file(handler, "model.onnx"):
            cut(handler)
            processes[0].kill()
            processes[0].wait()
        return is_file(handler, "model.onnx")

    updated.server.fault = kill
    processes.append(run(updated))
    assert end(processes[0])[0] and updated.require_working(1)
    updated.server.fault = lambda handler: False
    assert updated.updater().check().release == 2 and updated.require_working(2)


def test_a_self_test_that_kills_the_process_each_time_is_given_up(updated):
    for _ in range(MAX_ATTEMPTS):
        assert end(run(updated, "commit", "self_test_process"))[0]
        assert updated.require_working(1)
    updated.server.fetched()
    updater = updated.updater()
    assert updater.check() is None and "ended the process 3 times" in updater.refusal
    assert updated.server.fetched() == []


@pytest.mark.proof
def test_killed_at_random_again_and_again(updated):
    """The process is killed at any moment of its life while releases follow each other."""
    chance = random.Random(KILLS)
    whole = time.monotonic()
    assert not end(run(updated))[0]
    whole = time.monotonic() - whole
    killed, highest, number = 0, 2, 2
    for _ in range(KILLS):
        number += 1
        updated.server.release(updated.folders[1 + number % 3], number)
        process = run(updated)
        time.sleep(chance.uniform(0.3, 1.1) * whole)
        process.kill()
        killed += end(process)[0]
        release = CurrentModel(updated.home).release
        assert highest <= release <= number
        highest = release
    number += 1
    updated.server.release(updated.folders[1], number)
    assert not end(run(updated))[0] and CurrentModel(updated.home).release == number
    assert len([path for path in updated.home.iterdir() if path.name.startswith("release-")]) == 2
    print(f"{killed} of {KILLS} processes were interrupted")
    assert killed > 0
