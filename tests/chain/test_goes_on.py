"""A training that is stopped goes on from its last epoch by the command that it says."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import mlflow
import pytest

from steps.tracking.outputs import TrainOutputs

pytestmark = pytest.mark.slow

SECONDS = 240
EPOCHS = 30


@pytest.fixture(scope="module")
def workshop(tmp_path_factory, workshop_factory):
    """With pictures that were taken in."""
    made = workshop_factory(tmp_path_factory.mktemp("goes_on"))
    made.capture(made.home / "landing", 40)
    assert made.mlflow_run("ingest", source=made.home / "landing").returncode == 0
    return made


def test_a_stopped_training_goes_on_with_its_own_pictures_by_the_command_that_it_says(workshop):
    given = {"tune_run_id": "none", "launcher": "single", "epochs": EPOCHS, "patience": 0}
    said, run_id = _stopped(workshop, "train", after=2, **given)
    # what is taken in meanwhile is none of its pictures
    first = min((workshop.home / "landing").iterdir())
    shutil.copy(first, first.with_name("another.jpg"))
    assert workshop.mlflow_run("ingest", source=workshop.home / "landing").returncode == 0
    done = subprocess.run(
        shlex.split(said),
        env=workshop.environment(),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    trained = workshop.runs("train")[0]
    assert trained.data.tags["resumed"] == run_id
    assert trained.data.tags["input.ingest"] == workshop.runs("ingest")[1].info.run_id
    mlflow.set_tracking_uri(workshop.store)
    text = mlflow.artifacts.load_text(f"runs:/{trained.info.run_id}/outputs.json")
    assert TrainOutputs.model_validate_json(text).epochs == EPOCHS
    assert not list(workshop.home.rglob("epoch-*.npz"))


def test_a_chain_that_is_stopped_in_its_training_goes_on_there(workshop):
    given = {"tune_trials": 1, "tune_epochs": 1, "train_launcher": "single", "train_epochs": EPOCHS}
    given |= {"source": workshop.home / "landing", "train_patience": 0, "until": "train"}
    said, run_id = _stopped(workshop, "main", after=2, **given)
    assert said.endswith(" -P from=train")
    done = workshop.mlflow_run("main", **given)
    assert done.returncode == 0
    assert f"it goes on from run {run_id}, which was cut off" in done.stderr
    assert workshop.runs("train")[0].data.tags["resumed"] == run_id


def test_one_that_is_stopped_before_its_first_epoch_starts_again(workshop):
    said, _ = _stopped(workshop, "train", after=0, tune_run_id="none", launcher="single", seed=1)
    assert "-e train" in said and "resume_run_id" not in said


def _stopped(workshop, step: str, after: int, **given) -> tuple[str, str]:
    """Start a step, and stop the training in it after an epoch: the last command that is said, and
    the training's run."""
    before = len(workshop.runs("train"))
    training = subprocess.Popen(
        workshop.command(step, **given),
        cwd=workshop.home,
        env=workshop.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + SECONDS
    try:
        while len(workshop.runs("train")) == before or not _has_come_to(workshop, after):
            assert training.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        os.killpg(training.pid, signal.SIGINT)
        output, _ = training.communicate(timeout=SECONDS)
    finally:
        if training.poll() is None:
            os.killpg(training.pid, signal.SIGKILL)
    print(output)
    run = workshop.runs("train")[0]
    assert run.info.status == "KILLED"
    said = re.findall(r"stopped; go on with: (.*)", output)
    assert said, "no command was said"
    return said[-1], run.info.run_id


def _has_come_to(workshop, epoch: int) -> bool:
    kept = [int(path.stem.removeprefix("epoch-")) for path in workshop.home.rglob("epoch-*.npz")]
    return max(kept, default=0) >= epoch
