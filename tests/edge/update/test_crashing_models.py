"""A committed release that ends the process on some frames is rolled back."""

import subprocess
import sys

import pytest
from hostile_models import add_harm
from tiny_model import write_model, write_reference_images

PROCESS = """
import datetime, faulthandler, hashlib, sys, time
from pathlib import Path
import numpy as np
from edge.agent.model import AgentModel
from edge.cameras.camera import Shot
from edge.update.home import ModelHome
from edge.update.probation import Probation

faulthandler.dump_traceback_later(2, exit=True)  # as the watchdog does
home = Path(sys.argv[1])
model = AgentModel(home, "a7", 1, Probation(ModelHome(home)), time.monotonic)
for grey in (100, int(sys.argv[2])):
    pixels = np.full((64, 48, 3), grey, np.uint8)
    model.refresh()
    result = model.score(Shot(pixels, datetime.datetime.now(), None))
    print(hashlib.sha256(pixels.tobytes()).hexdigest())
print(model.current.release, result.score is not None, result.reason)
"""


def score(device, grey: int) -> tuple[int, list[str]]:
    """The exit status of a process that scores a dark frame and one of a grey, and its output."""
    command = [sys.executable, "-c", PROCESS, str(device.home), str(grey)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout.splitlines()


@pytest.fixture
def harmful(updated, tmp_path):
    """A device on which a release is committed that hangs on bright frames."""
    folder = write_reference_images(write_model(tmp_path / "harmful"))
    add_harm(folder / "model.onnx", "a loop on bright frames")
    updated.server.release(folder, 2)
    updater = updated.updater()
    assert updater.check().release == 2
    updater.probation.commit()
    return updated


def test_one_that_hangs_on_some_frames_is_rolled_back_with_the_frames_hash(harmful):
    for grey in (250, 251, 252):
        assert score(harmful, grey)[0] == 1
    status, (_, hash, last) = score(harmful, 252)
    assert (status, last) == (0, f"1 False a process ended while it scored frame {hash}")
    status, (*_, last) = score(harmful, 251)
    assert (status, last) == (0, "1 True None")
    updater = harmful.updater()
    assert updater.check() is None
    assert updater.refusal.endswith(f"ended 3 times while it scored, the last time frame {hash}")


def test_a_frame_that_ended_a_process_is_not_scored_again_and_costs_no_model(harmful):
    assert score(harmful, 250)[0] == 1
    for _ in range(5):  # a folder whose newest image stays the same
        status, (_, hash, last) = score(harmful, 250)
        assert (status, last) == (0, f"2 False a process ended while it scored frame {hash}")


def test_a_power_cut_in_a_frame_is_no_fault_of_the_model(harmful):
    marker = harmful.home / "scoring.json"
    for grey in (250, 251, 252, 253):
        assert score(harmful, grey)[0] == 1
        marker.write_text(marker.read_text().replace('"boot": "', '"boot": "another'))
    assert score(harmful, 100)[1][-1] == "2 True None"


def test_the_only_committed_release_stays(device, tmp_path):
    folder = write_reference_images(write_model(tmp_path / "harmful"))
    add_harm(folder / "model.onnx", "a loop on bright frames")
    device.server.release(folder, 1)
    updater = device.updater()
    updater.check()
    updater.probation.commit()
    for grey in (250, 251, 252):
        assert score(device, grey)[0] == 1
    assert score(device, 100)[1][-1] == "1 True None"
