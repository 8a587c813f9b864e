"""The pipeline on a slice of real images, to a test accuracy worth having."""

import json
import shutil

import mlflow
import pytest

from steps.pipeline.outputs import TrainOutputs
from steps.settings.profile import PROJECT

IMAGES = PROJECT.parent / "shared" / "data" / "package-images" / "images"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IMAGES.is_dir(), reason=f"the real images are not at {IMAGES}"),
]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory, workshop_factory):
    workshop = workshop_factory(tmp_path_factory.mktemp("real"))
    landing = workshop.home / "landing"
    landing.mkdir()
    for image in sorted(IMAGES.glob("*.jpg"))[::3]:
        shutil.copy(image, landing)
    assert workshop.step("ingest", source=landing).returncode == 0
    from_train = {"from": "train"}  # with the default hyperparameters
    assert workshop.step("main", source=landing, **from_train).returncode == 0
    return workshop


def test_the_test_images_are_classified(pipeline):
    (run,) = pipeline.runs("train")
    mlflow.set_tracking_uri(pipeline.store)
    text = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/outputs.json")
    trained = TrainOutputs.model_validate_json(text)
    assert trained.metrics["accuracy"] >= 0.95


def test_the_device_scores_images_that_training_left_out(pipeline):
    models = pipeline.home / "device"
    done = pipeline.step("device", camera="test-set", models=str(models))
    assert done.returncode == 0
    record = json.loads((models / "package-onnx" / "current" / "record.json").read_text())
    assert record["labels"] == ["0", "1"]
    scored = [line.split() for line in done.stdout.splitlines() if "_rpi_sensor_3_front_" in line]
    assert len(scored) == 10
    assert all(row[0].rsplit("_", 1)[1].startswith(row[1]) for row in scored)  # the truth
    right = [row[1] == row[2] for row in scored]
    assert sum(right) >= 9
