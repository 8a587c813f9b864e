"""The monitor as the command line runs it, on a lake without Spark and a registry of its own."""

import io
import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import mlflow
import pytest
from drawing import jpeg
from mlflow import MlflowClient
from PIL import Image

from benchmarks.made_lake import commit, image_rows, made_profile, write_rows, write_table
from edge.inference.image import open_image
from steps import monitor
from steps.ingestion.label_rows import SCHEMA, LabelRow
from steps.ingestion.tables import LABELS, SCORES
from steps.monitoring.acting import count_labelled
from steps.monitoring.compared import SCORED, Comparison, Version
from steps.pipeline.outputs import MonitorOutputs, Selection, TrainOutputs
from steps.pipeline.run_files import read_outputs
from steps.registry.versions import TRAINED_BY

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
TRAINED = NOW - timedelta(days=3)


def frame(number: int, is_moved: bool) -> bytes:
    """One of a few scenes of a device."""
    with open_image(jpeg(number % 3)) as image:
        image.load()
    if is_moved:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue() + number.to_bytes(4, "big")  # of another hash


@pytest.fixture
def lake(tmp_path, store):
    """Two devices with an image each two hours for eight days; one is turned two days ago."""
    profile, zone = made_profile(tmp_path), f"file:{tmp_path / 'zone'}"
    times = [NOW - timedelta(hours=hours) for hours in range(8 * 24, 0, -2)]
    images = [
        (at, f"{at:%Y-%m-%dT%H:%M:%S}_rpi_sensor_{device}_front_{number % 2}.jpg", content)
        for number, at in enumerate(times)
        for device, content in (
            ("turned", frame(number, at > NOW - timedelta(days=2))),
            ("steady", frame(1000 + number, False)),
        )
    ]
    rows = list(image_rows([(name, content) for _, name, content in images], zone))
    for row, (at, *_) in zip(rows, images, strict=True):
        row["ingested_at"] = at + timedelta(minutes=5)
    commit(profile, write_rows(rows, profile))
    client = MlflowClient()
    run = client.create_run("0", int(TRAINED.timestamp() * 1000), {"step": "train"}).info.run_id
    selection = {"table": "images", "version": 0, "source": zone, "input_size": (32, 32)}
    rule = {"block_minutes": 60, "guard_minutes": 0, "split_seed": 0}
    outputs = TrainOutputs(
        labels=["0", "1"],
        network="compact",
        launcher="single",
        processes=1,
        epochs=1,
        metrics={},
        selection=Selection(**selection, **rule),
    )
    client.log_text(run, outputs.model_dump_json(), "outputs.json")
    client.create_registered_model("porch")
    client.create_model_version("porch", "file:/none", tags={TRAINED_BY: run})
    client.set_registered_model_alias("porch", "champion", "1")
    return profile, rows


def run_monitor(profile, *arguments: str) -> tuple[MonitorOutputs, dict[str, float], str]:
    place = f"lake={profile.lake},cache={profile.cache}"
    monitor.STEP.main(["--model", "porch", "--override", place, *arguments])
    run = MlflowClient().get_run(mlflow.last_active_run().info.run_id)
    report = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/report.html")
    return read_outputs(run.info.run_id, MonitorOutputs), run.data.metrics, report


def write_control(profile, rows) -> int:
    """Label ten new images as a control; nine were scored as they are labelled."""
    new = [row for row in rows if row["ingested_at"] > TRAINED][:10]
    at = datetime.now(UTC)
    labels = [
        LabelRow(uuid.uuid4().hex, row["sha256"], row["label"], "ann", "control", at)._asdict()
        for row in new
    ]
    write_table(LABELS, profile, labels, SCHEMA)
    said = [row["label"] if number else "other" for number, row in enumerate(new)]
    scores = [
        {"sha256": row["sha256"], "model": "porch", "model_version": "1", "label": label}
        | {"scored_by": "spark", "scored_at": at, "score": 0.9}
        for row, label in zip(new, said, strict=True)
    ]
    write_table(SCORES, profile, scores, SCORED)
    return len(new)


@pytest.mark.slow
def test_a_camera_that_was_turned_is_an_alarm_and_no_failure(lake):
    profile, rows = lake
    write_control(profile, rows)
    outputs, metrics, report = run_monitor(profile)
    assert {alarm.device for alarm in outputs.alarms} == {"turned"}
    first = outputs.alarms[0]
    began = datetime.fromisoformat(first.began)
    assert abs(began - (NOW - timedelta(days=2))) <= timedelta(hours=4)
    assert first.cause.startswith("turned/") and first.ended is None
    assert outputs.line.startswith(f"turned: {first.meaning}, since")
    assert metrics["devices_with_alarm"] == 1 and metrics["devices_silent"] == 0
    assert (metrics["accuracy"], metrics["control_images"]) == (0.9, 10)
    assert metrics["accuracy_low"] < 0.9 < metrics["accuracy_high"]
    assert f"turned: {first.meaning}" in report and report.count("<img") == 10
    run_id = mlflow.last_active_run().info.run_id
    stored = json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/alarms.json"))
    assert stored == [alarm.model_dump() for alarm in outputs.alarms]
    started, _, _ = run_monitor(profile, "--on_breach", "run")
    assert "pipeline started (1/turned/1), and failed" in started.acted  # its source is no folder
    again, _, _ = run_monitor(profile, "--on_breach", "run", "--cooldown_hours", "0")
    assert again.alarms == outputs.alarms and again.acted == ""


def test_the_pipeline_that_trains_again_has_the_parameters_of_the_one_before(store):
    client, known = MlflowClient(), {"region": "0,0,9,9", "max_risk": "0.02", "train_seed": "7"}
    parent = client.create_run("0", tags={"step": "main"}).info.run_id
    of_one_run = {"until": "train", "force": "tune", "train_run_id": "x", "tune_minutes": "None"}
    told = {"profile": "other", "source": "elsewhere", "override": "lake=/old", "gone": "1"}
    for name, value in (known | of_one_run | told).items():
        client.log_param(parent, name, value)
    train = client.create_run("0", tags={"mlflow.parentRunId": parent}).info.run_id
    version = Version("porch", "3", "file:/zone", NOW, train)
    own = {"profile": "local", "override": "lake=/lake", "model": "porch", "source": "/zone"}
    parameters = monitor.Parameters(override="lake=/lake")
    assert monitor.pipeline_parameters(parameters, version) == known | own
    alone = client.create_run("0").info.run_id
    for name, value in {"seed": "7", "max_risk": "0.02", "tune_run_id": "x"}.items():
        client.log_param(alone, name, value)
    kept = {"train_seed": "7", "max_risk": "0.02"}
    assert monitor.pipeline_parameters(parameters, replace(version, trained_by=alone)) == kept | own


@pytest.mark.slow
def test_labels_count_that_were_given_to_images_of_the_landing_zone(lake):
    profile, rows = lake
    client = MlflowClient()
    version = client.get_model_version_by_alias("porch", "champion").tags[TRAINED_BY]
    zone = rows[0]["path"].rpartition("/")[0]
    labels = [
        LabelRow(uuid.uuid4().hex, sha256, "0", "ann", how, at)._asdict()
        for sha256, how, at in (
            (rows[0]["sha256"], "key", TRAINED + timedelta(hours=1)),
            (rows[0]["sha256"], "rename", TRAINED + timedelta(hours=2)),
            (rows[1]["sha256"], "rename", TRAINED + timedelta(hours=2)),
            (rows[2]["sha256"], "key", TRAINED - timedelta(hours=2)),
            ("f" * 64, "key", TRAINED + timedelta(hours=1)),
        )
    ]
    write_table(LABELS, profile, labels, SCHEMA)
    comparison = Comparison(profile, Version("porch", "1", zone, TRAINED, version))
    assert count_labelled(comparison) == 1


def test_a_model_that_nobody_registered_is_said_so(store, tmp_path, caplog):
    with pytest.raises(SystemExit, match="no registered model 'porch'.* -e promote"):
        run_monitor(made_profile(tmp_path))
