"""SIGKILL after every step of an update, then a start: the model in use always works."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from release_server import PUBLIC_KEY

from edge.update.current import CurrentModel, NoModelError
from edge.update.faultpoints import KILL_AFTER, UpdateStep
from edge.update.updater import MAX_ATTEMPTS

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("KILLS", "20"))
"""At random moments, in the proof."""

PROJECT = Path(__file__).parents[3]
PROCESS = Path(__file__).with_name("updating_process.py")
ROLLBACK = (UpdateStep.FAILURE_SAVED, UpdateStep.ROLLED_BACK)
UPDATE = [step for step in UpdateStep if step not in ROLLBACK]


def run(device, then="commit", **environment) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, PROCESS, device.server.address, device.models, PUBLIC_KEY, then],
        env=os.environ | {"PYTHONPATH": str(PROJECT)} | environment,
        cwd=PROJECT,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen) -> int:
    said = process.communicate(timeout=120)[1]
    assert process.returncode in (0, -signal.SIGKILL), said
    return process.returncode


def require_clean(device, *releases: int) -> None:
    kept = {path.name for path in device.home.iterdir()}
    assert kept == {"current", "update.json", *(f"release-{n}" for n in releases)}


@pytest.mark.parametrize("step", UPDATE, ids=lambda step: step.name)
def test_an_update_killed_after_any_step_is_resumed(updated, step):
    assert end(run(updated, **{KILL_AFTER: step})) == -signal.SIGKILL
    found = updated.require_working(1, 2)
    switched = UPDATE.index(step) >= UPDATE.index(UpdateStep.SWITCHED)
    assert found == (2 if switched and step != UpdateStep.CLEANED_UP else found)
    updater = updated.updater()
    updater.probation.recover()
    assert updated.require_working(1, 2) == found
    updater.check()
    assert updated.require_working(2) and updater.refusal is None
    updater.probation.commit()
    updated.release(3)
    updater.check()
    updater.probation.commit()
    assert updated.require_working(3)
    require_clean(updated, 2, 3)


@pytest.mark.parametrize("step", ROLLBACK, ids=lambda step: step.name)
def test_a_rollback_killed_after_any_step_is_finished(updated, step):
    assert end(run(updated, "rollback", **{KILL_AFTER: step})) == -signal.SIGKILL
    updated.require_working(1, 2)
    updater = updated.updater()
    updater.probation.recover()
    assert updated.require_working(1) and not updater.probation.is_active()
    assert updater.check() is None and "as the test wants" in updater.refusal
    assert updated.require_working(1)


@pytest.mark.proof
@pytest.mark.parametrize("step", UPDATE, ids=lambda step: step.name)
def test_a_first_installation_that_is_killed_leaves_no_model_or_a_complete_one(device, step):
    assert end(run(device, **{KILL_AFTER: step})) == -signal.SIGKILL
    try:
        CurrentModel(device.home)
    except NoModelError as error:
        assert "no model in" in str(error)  # noqa: PT017  # either outcome is right
    else:
        assert device.require_working(1)
    assert end(run(device)) == 0
    assert device.require_working(1)
    require_clean(device, 1)


def test_a_self_test_that_kills_the_process_each_time_is_given_up(updated):
    for _ in range(MAX_ATTEMPTS):
        assert end(run(updated, **{KILL_AFTER: UpdateStep.ATTEMPT_COUNTED})) == -signal.SIGKILL
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
    assert end(run(updated)) == 0
    whole = time.monotonic() - whole
    killed, highest, number = 0, 2, 2
    for _ in range(KILLS):
        number += 1
        updated.server.release(updated.folders[1 + number % 3], number)
        process = run(updated)
        time.sleep(chance.uniform(0.3, 1.1) * whole)
        process.kill()
        killed += end(process) != 0
        release = CurrentModel(updated.home).release
        assert highest <= release <= number
        highest = release
    number += 1
    updated.server.release(updated.folders[1], number)
    assert end(run(updated)) == 0 and CurrentModel(updated.home).release == number
    assert len([path for path in updated.home.iterdir() if path.name.startswith("release-")]) == 2
    print(f"{killed} of {KILLS} processes were interrupted")
    assert killed > 0
