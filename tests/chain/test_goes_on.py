"""A chain that is stopped in its training goes on from the last epoch, and says how."""

import os
import re
import signal
import subprocess
import time

import mlflow
import pytest

from steps.tracking.outputs import TrainOutputs

pytestmark = pytest.mark.slow

SECONDS = 240
EPOCHS = 30
CHAIN = {
    "tune_trials": 1,
    "tune_epochs": 1,
    "train_launcher": "single",
    "train_epochs": EPOCHS,
    "train_patience": 0,
    "until": "train",
}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory, workshop_factory):
    made = workshop_factory(tmp_path_factory.mktemp("goes_on"))
    made.capture(made.home / "landing", 40)
    return made


def test_a_stopped_chain_goes_on_from_the_last_epoch(workshop):
    given = CHAIN | {"source": workshop.home / "landing"}
    (by_step, by_chain), stopped = _stopped(workshop, "main", after=2, **given)
    inputs = [
        f"-P {step}_run_id={workshop.runs(step)[0].info.run_id}" for step in ("ingest", "tune")
    ]
    assert all(said in by_step for said in [f"-P resume_run_id={stopped}", *inputs])
    assert by_chain.endswith(" -P from=train")

    done = workshop.mlflow_run("main", **given)
    assert done.returncode == 0
    assert f"it goes on from run {stopped}, which was cut off" in done.stderr
    trained = workshop.runs("train")[0]
    assert trained.data.tags["resumed"] == stopped
    mlflow.set_tracking_uri(workshop.store)
    text = mlflow.artifacts.load_text(f"runs:/{trained.info.run_id}/outputs.json")
    assert TrainOutputs.model_validate_json(text).epochs == EPOCHS
    assert not list(workshop.home.rglob("epoch-*.npz"))


def test_one_that_is_stopped_before_its_first_epoch_starts_again(workshop):
    (said,), _ = _stopped(workshop, "train", after=0, launcher="single", seed=1)
    assert "-e train" in said and "resume_run_id" not in said


def _stopped(workshop, step: str, after: int, **given) -> tuple[list[str], str]:
    """Start a step, and stop the training in it after an epoch: the commands that are said, and the
    training's run."""
    before = len(workshop.runs("train"))
    process = subprocess.Popen(
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
        while len(workshop.runs("train")) == before or _epochs(workshop) < after:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    print(output)
    run = workshop.runs("train")[0]
    assert run.info.status == "KILLED"
    return re.findall(r"stopped; go on with: (.*)", output), run.info.run_id


def _epochs(workshop) -> int:
    """That are kept of the training."""
    kept = [int(path.stem.removeprefix("epoch-")) for path in workshop.home.rglob("epoch-*.npz")]
    return max(kept, default=0)
