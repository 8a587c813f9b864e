"""The closed loop: a device scores a frame, and the lake has the image, the score, the device."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from small_lake import make_small_lake

from edge.agent.agent import Agent
from edge.agent.clock import Clock
from edge.agent.settings import (
    CaptureSettings,
    LandingSettings,
    ScoreSettings,
    Settings,
    StoreSettings,
)
from edge.cameras.camera import CameraSettings
from edge.cameras.simulated import SimulatedCamera
from edge.inference.record import ModelRecord
from edge.inference.region import WHOLE
from edge.outbox.moment import Moment
from edge.outbox.result import Result
from edge.protocol.version import project_version
from steps.ingestion import device_scores as edge_results
from steps.ingestion.device_scores import ingest_results, parse_results
from steps.ingestion.device_status import ingest_status, parse_status
from steps.ingestion.tables import DEVICES, QUARANTINE, SCORES
from steps.lake.table import current_version

RECORD = ModelRecord(["0", "1"], (64, 48), "1")


class Hurried(Clock):
    """The clock of a device on which ten seconds pass between two frames."""

    skipped = 0.0

    def now(self) -> Moment:
        now = super().now()
        return Moment(
            now.wall_time + timedelta(seconds=self.skipped), now.uptime, now.boot, now.is_synced
        )

    def uptime(self) -> float:
        return super().uptime() + self.skipped


class Model:
    """Uncertain about every third frame only; takes the place of a pulled model."""

    class current:  # noqa: N801
        model, version, release = "package-onnx", "4", 7
        scorer = SimpleNamespace(record=RECORD)

    failure, region = None, WHOLE

    def __init__(self):
        self.number = 0

    def refresh(self):
        pass

    def score(self, shot):
        self.number += 1
        second = 0.55 if self.number % 3 == 1 else 0.99
        (prediction,) = RECORD.decode(np.float32([[1 - second, second]]), latency_ms=2.5)
        return Result.of("package-onnx", "4", prediction)


def device(tmp_path, zone) -> Agent:
    zone.mkdir(exist_ok=True)
    clock = Hurried(trusted=True)
    camera = SimulatedCamera(CameraSettings())
    camera.now = lambda: clock.now().wall_time
    agent = Agent(
        Settings(
            device="a7",
            landing=LandingSettings(str(zone)),
            capture=CaptureSettings(period_seconds=0),
            score=ScoreSettings(uncertain_per_hour=3600, control_per_day=0),
            store=StoreSettings(tmp_path / "store", free_megabytes=0),
        ),
        clock,
        camera,
    )
    agent.parts.model = agent.parts.watcher.model = Model()
    return agent


def take_and_send(agent: Agent, frames: int) -> None:
    for _ in range(frames):
        agent.parts.watcher.take_frame()
        agent.parts.clock.skipped += 10
    agent.parts.clock.skipped += 600  # the next file of results is due
    while agent.sender.work():
        pass


@pytest.fixture
def small(lake, tmp_path):
    return make_small_lake(lake, tmp_path)


def _ingest(small, run_id="run") -> tuple[int, int]:
    return (
        ingest_results(lambda: small.spark, small.profile, small.source, run_id),
        ingest_status(lambda: small.spark, small.profile, small.source, run_id),
    )


@pytest.mark.slow
def test_a_frame_becomes_a_row(small, tmp_path):
    agent = device(tmp_path, small.zone)
    take_and_send(agent, 4)
    small.ingest()
    assert _ingest(small) == (1, 1)

    scores = small.table_of("scores")
    assert len(scores) == 4 and set(scores["scored_by"]) == {"edge:a7"}
    assert set(scores["model_version"]) == {"4"} and set(scores["score_run_id"]) == {"run"}
    kept = scores[scores["path"].notna()]
    images = small.table("images").set_index("path")
    assert len(images) == len(kept) == 2 and set(kept["path"]) == set(images.index)
    assert dict(kept[["path", "sha256"]].values) == images["sha256"].to_dict()
    assert set(images["device_id"]) == {"a7"} and set(images["captured_from"]) == {"name"}
    assert kept["score"].round(2).tolist() == [0.55] * 2
    image = images.iloc[0]
    assert image["camera_make"] == "RaspberryPi" and image["camera_model"] == "simulated"

    (row,) = small.table_of("devices").to_dict("records")
    assert (row["device_id"], row["model_version"], row["release"]) == ("a7", "4", 7)
    assert row["agent_version"] == project_version()
    assert row["frames"] == 4 and row["images_waiting"] == 0 and row["health_issues"] is not None

    # nothing new, so nothing is written
    before = _versions(small)
    assert _ingest(small, "again") == (0, 0) and _versions(small) == before

    # the device continues: new results arrive once, and its row is the newest status
    take_and_send(agent, 3)
    assert _ingest(small, "second") == (1, 1)
    assert len(small.table_of("scores")) == 7
    (row,) = small.table_of("devices").to_dict("records")
    assert row["frames"] == 7 and row["ingest_run_id"] == "second"


@pytest.mark.slow
def test_an_interrupted_ingest_is_completed_once_and_damaged_files_are_quarantined(
    small, tmp_path, monkeypatch
):
    take_and_send(device(tmp_path, small.zone), 2)
    (good,) = (small.zone / "results" / "a7").iterdir()
    bad = good.with_name("bad.jsonl")
    line = good.read_bytes().splitlines()[0]
    damaged = json.dumps(json.loads(line) | {"model": 3}).encode()
    bad.write_bytes(b"\n".join([line, damaged, b"\xff", b""]))
    (small.zone / "status" / "b8.json").write_text("[]")

    append = edge_results.read
    monkeypatch.setattr(edge_results, "read", _fails)
    with pytest.raises(Exception, match="the power fails"):
        _ingest(small)
    monkeypatch.setattr(edge_results, "read", append)
    assert _ingest(small) == (0, 1)  # they were recorded before the power failed
    assert len(small.table_of("scores")) == 3
    (kept,) = small.table_of("quarantine").to_dict("records")
    assert kept["reason"] == "results" and kept["content"] == bad.read_bytes()
    assert kept["error"].startswith("line 2: ValueError: model is 3")

    # even if the mark is lost that they are done
    Path(edge_results.result_log(small.profile, small.source).home, "done").unlink()
    assert _ingest(small)[0] == 0 and len(small.table_of("scores")) == 3
    assert len(small.table_of("quarantine")) == 1


def _fails(path):
    raise OSError("the power fails")


def _versions(small) -> dict[str, int]:
    return {
        table.name: current_version(table.open(small.spark, small.profile))
        for table in (SCORES, DEVICES, QUARANTINE)
    }


RESULT = {
    "file_name": None,
    "sha256": None,
    "model": "m",
    "model_version": "4",
    "label": "1",
    "score": 1,
    "latency_ms": None,
    "reason": None,
    "scored_by": "edge:a7",
    "scored_at": "2026-07-13T12:00:00+02:00",
    "probabilities": {"0": 0, "1": 1},
}


def test_a_row_has_the_types_of_the_table():
    (row,), error = parse_results(
        json.dumps(RESULT | {"file_name": "a.jpg"}).encode(), "file:/z", "run"
    )
    assert not error and row["path"] == "file:/z/a.jpg"
    assert row["scored_at"] == datetime(2026, 7, 13, 10, tzinfo=UTC)
    assert row["score"] == 1.0 and row["probabilities"] == {"0": 0.0, "1": 1.0}


@pytest.mark.parametrize(
    "change",
    [
        {"score": "high"},
        {"scored_by": "spark"},
        {"scored_at": "2026-07-13T12:00:00"},
        {"scored_at": "yesterday"},
        {"probabilities": [1]},
        {"probabilities": {"0": "x"}},
        {"model": None},
        {"file_name": 7},
        {"score": 10**400},
        {"scored_at": "0001-01-01T00:00:00+05:00"},
        {"scored_at": "9999-12-31T23:59:59-05:00"},
        {"label": "\ud800"},
        {"probabilities": {"\ud800": 1}},
        {"probabilities": []},
    ],
)
def test_an_invalid_line_is_named_and_the_others_are_ingested(change):
    lines = [json.dumps(RESULT), json.dumps(RESULT | change), json.dumps(RESULT)]
    rows, error = parse_results("\n".join(lines).encode(), "file:/z", "run")
    assert len(rows) == 2 and error.startswith("line 2: ")


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b"{}", b"\x00\xff", b"[" * 100_000])
def test_an_invalid_file_of_results_has_no_rows(content):
    rows, error = parse_results(content, "file:/z", "run")
    assert rows == [] and error


UNHOLDABLE = (
    {"release": 2**31},
    {"camera_restarts": -(2**31) - 1},
    {"frames": 10**30},
    {"temperature_celsius": 10**400},
    {"started_at": "0001-01-01T00:00:00+05:00"},
    {"last_frame_at": ""},
    {"health_issues": ["\ud800"]},
)


@pytest.mark.slow
def test_a_status_that_the_table_cannot_hold_is_skipped_and_the_others_are_ingested(
    small, tmp_path
):
    status = device(tmp_path, small.zone).status()
    for number, change in enumerate(({}, *UNHOLDABLE)):
        changed = status | {"device": f"a{number}"} | change
        (small.zone / "status").mkdir(exist_ok=True)
        (small.zone / "status" / f"a{number}.json").write_text(json.dumps(changed))
    assert ingest_status(lambda: small.spark, small.profile, small.source, "run") == 1
    assert set(small.table_of("devices")["device_id"]) == {"a0"}


def test_a_status_from_the_future_is_refused(tmp_path):
    status = device(tmp_path, tmp_path / "zone").status()
    assert parse_status(status, "run")["device_id"] == "a7"
    del status["agent_version"]  # as before 0.1.0
    assert parse_status(status, "run")["agent_version"] is None
    with pytest.raises(ValueError, match="in the future"):
        parse_status(status | {"reported_at": "2096-01-01T00:00:00+00:00"}, "run")
