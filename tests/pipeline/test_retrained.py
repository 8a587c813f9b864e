"""A camera is moved, the monitor notices, and the pipeline that it starts trains the model again.

`RUNS=1 make prove ARGS="-k retrained"` runs it: three pipelines, as a user types them.
"""

import os
import re

import pytest
import yaml
from PIL import Image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.proof,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        "RUNS" not in os.environ, reason="NOT PROVEN HERE: whole pipelines take RUNS=1"
    ),
]

TRAINING, MOVED = 96, 48
"""Images, one an hour: of four days, and of the two after them."""
QUICK = {"network": "compact", "input_size": 32, "train_launcher": "single"}
QUICK |= dict.fromkeys(("tune_trials", "tune_epochs", "train_epochs"), 1)


def arrive(workshop, count: int, is_moved: bool = False) -> None:
    """Let images of the camera land, pan and tilt by about four degrees included."""
    for image in sorted((workshop.home / "camera").iterdir())[:count]:
        if is_moved:
            frame = Image.open(image)
            box = (40, 24, frame.width, frame.height)
            frame.transform(frame.size, Image.Transform.EXTENT, box, 2).save(image)
        image.rename(workshop.home / "landing" / image.name)


def require(workshop, log_loss: float) -> None:
    """Let no challenger become the champion whose loss is higher."""
    profile = yaml.safe_load(workshop.profile.read_text())
    profile["promotion"]["thresholds"] = {"log_loss": {"max": log_loss}}
    workshop.profile.write_text(yaml.safe_dump(profile))


def test_a_moved_camera_trains_the_model_again_once(tmp_path, workshop_factory):
    workshop = workshop_factory(tmp_path, min_accuracy=0.0, max_regression=1.0)
    (tmp_path / "landing").mkdir()
    workshop.capture(tmp_path / "camera", TRAINING + MOVED)
    arrive(workshop, TRAINING)
    source = tmp_path / "landing"
    assert workshop.mlflow_run("main", source=source, **QUICK).returncode == 0

    def monitor(**given: object) -> str:
        done = workshop.mlflow_run("monitor", on_breach="run", **given)
        assert done.returncode == 0
        return re.findall("^monitor: (.*)", done.stderr, re.MULTILINE)[-1]

    def pipelines() -> list[str]:
        return [run.data.tags["result"] for run in reversed(workshop.runs("main"))]

    assert "no alarm" in monitor()
    arrive(workshop, MOVED, is_moved=True)
    assert workshop.mlflow_run("main", source=source, until="ingest").returncode == 0
    before = pipelines()
    require(workshop, log_loss=1e-6)
    said = monitor()
    assert "1: the camera was moved" in said
    assert re.search(r"pipeline run \w{32}: champion stays \(1/1/1\)$", said)
    assert pipelines() == [*before, "champion stays"]
    trained = workshop.runs("train")[0]
    assert {trained.data.params[name] for name in ("network", "launcher")} == {"compact", "single"}
    # the cause is known; another one waits
    assert "pipeline" not in monitor(cooldown_hours=0)
    assert "nothing started before" in monitor(every_days=0.0001)
    assert len(pipelines()) == len(before) + 1
    require(workshop, log_loss=100)
    assert re.search(": released .*1/schedule", monitor(every_days=0.0001, cooldown_hours=0))
    assert pipelines() == [*before, "champion stays", "released"]
    assert workshop.runs("train")[0].info.run_id == trained.info.run_id
    # what it was trained on is usual from now on
    assert "no alarm" in monitor(cooldown_hours=0)
