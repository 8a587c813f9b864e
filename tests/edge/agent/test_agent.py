"""The agent's parts together, frame by frame."""

import json
from contextlib import contextmanager

import numpy as np
import pytest
from agent_fakes import agent_of, landed, send_all, settings, take_frames
from PIL import Image

from edge.agent.agent import Agent
from edge.agent.settings import CaptureSettings, ScoreSettings
from edge.cameras.camera import CameraSettings, Frame, Shot
from edge.cameras.errors import CameraError
from edge.cameras.folder import FolderCamera
from edge.outbox.reason import Reason


def sent_results(tmp_path) -> list[dict]:
    files = sorted((tmp_path / "landing" / "results" / "a7").iterdir())
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


def test_without_a_model_images_are_taken_and_sent(tmp_path, clock):
    agent = agent_of(tmp_path, clock)
    take_frames(agent, clock, 181)
    send_all(agent)
    assert [name[11:19] for name in landed(tmp_path)] == [
        "12%3A00%",
        "12%3A01%",
        "12%3A02%",
        "12%3A03%",
    ]
    assert agent.parts.results.size()["results"] == 0
    assert json.loads((tmp_path / "landing/status/a7.json").read_text())["frames"] == 181


def test_an_uncertain_frame_goes_to_the_landing_zone_with_its_score(tmp_path, clock, with_model):
    never = CaptureSettings(period_seconds=0)
    agent = with_model(capture=never, score=ScoreSettings(control_per_day=0))
    agent.parts.camera.grey = 127
    take_frames(agent, clock, 1)
    agent.parts.camera.grey = 250
    take_frames(agent, clock, 3)
    clock.advance(3600)
    send_all(agent)
    rows = sent_results(tmp_path)
    assert [row["label"] for row in rows] == ["dark"] + ["bright"] * 3
    assert landed(tmp_path) == [rows[0]["file_name"]] and rows[1]["file_name"] is None
    assert abs(rows[0]["score"] - 0.5) < 0.02 and rows[1]["score"] > 0.9
    assert rows[0]["sha256"] and rows[0]["scored_by"] == "edge:a7"
    assert agent.parts.watcher.state.kept == {Reason.UNCERTAIN: 1}


def test_a_manual_trigger_keeps_the_next_frame(tmp_path, clock):
    agent = agent_of(tmp_path, clock, capture=CaptureSettings(period_seconds=0))
    take_frames(agent, clock, 2)
    agent.trigger()
    take_frames(agent, clock, 2)
    assert agent.parts.watcher.state.kept == {Reason.MANUAL_TRIGGER: 1}


def test_a_stalled_camera_is_restarted(tmp_path, clock):
    agent = agent_of(tmp_path, clock)
    take_frames(agent, clock, 3)
    agent.parts.camera.fault = "stalled"
    take_frames(agent, clock, 3)
    status = agent.status()
    assert not status["healthy"] and "no frame within 20 s" in status["camera_failure"]
    agent.parts.camera.fault = None
    take_frames(agent, clock, 60)
    status = agent.status()
    assert status["healthy"] and status["camera_failure"] is None and status["frames"] > 50
    assert (
        agent.parts.camera.opened == 1 + status["camera_restarts"]
        and status["camera_restarts"] >= 1
    )
    assert status["recent_errors"][0]["message"] == "camera: no frame within 20 s"


def test_a_camera_that_fails_for_good_ends_the_process_if_it_worked_before(tmp_path, clock):
    agent = agent_of(tmp_path, clock)
    agent.parts.camera.fault = "gone"
    take_frames(agent, clock, 2000)
    agent.parts.camera.fault = None
    take_frames(agent, clock, 100)
    assert agent.parts.watcher.state.frames > 0
    agent.parts.camera.fault = "gone"
    with pytest.raises(CameraError, match="no camera number 0"):
        take_frames(agent, clock, 2000)


def test_a_missing_camera_is_retried_with_growing_pauses(tmp_path, clock):
    agent = agent_of(tmp_path, clock)
    agent.parts.camera.fault = "gone"
    take_frames(agent, clock, 600)
    assert 10 < agent.parts.camera.asked < 25


@pytest.mark.parametrize(
    "shape", [(0, 0, 3), (1, 1, 3), (1, 4000, 3), (7, 5, 1), (48, 64, 4), (48, 64)]
)
def test_frames_of_odd_sizes_do_no_harm(tmp_path, clock, with_model, shape):
    agent = with_model(capture=CaptureSettings(period_seconds=1, motion=True))
    take_frames(agent, clock, 1)
    _show(agent, np.zeros(shape, np.uint8), clock)
    take_frames(agent, clock, 2)
    assert agent.parts.watcher.state.frames == 3


def test_frames_of_random_bytes_do_no_harm(tmp_path, clock, with_model):
    agent = with_model(capture=CaptureSettings(period_seconds=1, motion=True))
    jpeg = agent_jpeg(agent, clock)
    rng = np.random.default_rng(1)
    for number in range(200):
        damaged = bytearray(jpeg if number % 2 else rng.bytes(rng.integers(0, 3000)))
        for place in rng.integers(0, max(len(damaged), 1), 5):
            damaged[place : place + 1] = rng.bytes(1)
        _show(agent, bytes(damaged[: rng.integers(0, len(damaged) + 1)]), clock)
        take_frames(agent, clock, 1)
    assert agent.parts.watcher.state.frames == 201
    assert len(agent.parts.watcher.state.recent_errors) <= 20


@pytest.mark.parametrize(
    ("has_model", "is_damaged", "decoded", "kept"),
    [(True, False, 0, 1), (True, True, 1, 0), (False, False, 1, 1), (False, True, 1, 0)],
)
def test_an_image_that_was_scored_is_not_decoded_again_to_be_kept(
    tmp_path, clock, with_model, has_model, is_damaged, decoded, kept
):
    often = CaptureSettings(period_seconds=1)
    agent = with_model(capture=often) if has_model else agent_of(tmp_path, clock, capture=often)
    jpeg = agent_jpeg(agent, clock)
    before, asked = agent.parts.queue.size()["images"], []

    def decode():
        asked.append(1)
        if is_damaged:
            raise CameraError("it is not a readable image")
        return np.zeros((48, 64, 3), np.uint8)

    @contextmanager
    def shot():
        content = jpeg[: len(jpeg) // 2] if is_damaged else jpeg
        yield Shot.of(Frame(decode, clock.now().wall_time, encoded=content))

    agent.parts.camera.shot = shot
    take_frames(agent, clock, 1)
    assert (len(asked), agent.parts.queue.size()["images"] - before) == (decoded, kept)


def agent_jpeg(agent, clock) -> bytes:
    take_frames(agent, clock, 1)
    return agent.parts.queue.path(agent.parts.queue.next()).read_bytes()


def _show(agent, image, clock):
    """Let the camera deliver an invalid image."""

    @contextmanager
    def shot():
        pixels = image if isinstance(image, np.ndarray) else np.zeros((4, 4, 3), np.uint8)
        encoded = image if isinstance(image, bytes) else None
        yield Shot.of(Frame(pixels, clock.now().wall_time, encoded=encoded))

    agent.parts.camera.shot = shot


def test_a_camera_that_never_worked_is_retried_forever(tmp_path, clock):
    agent = agent_of(tmp_path, clock)
    agent.parts.camera.fault = "gone"
    take_frames(agent, clock, 1100, seconds=61)
    assert agent.parts.camera.asked == 1100


def test_a_folder_with_an_unreadable_newest_image_is_unhealthy_and_logged_once(
    tmp_path, clock, caplog
):
    images = tmp_path / "images"
    images.mkdir()
    agent = Agent(settings(tmp_path), clock, FolderCamera(CameraSettings(source=str(images))))
    take_frames(agent, clock, 3)
    assert agent.status()["healthy"], "an empty folder is not a fault"
    (images / "a.jpg").write_bytes(b"what a broken encoder writes")
    take_frames(agent, clock, 100)
    status = agent.status()
    why = "camera: a.jpg is not a readable image: not an image: its format is unknown"
    assert status["health_issues"] == [why] and not status["healthy"]
    assert [error["message"] for error in status["recent_errors"]] == [why]
    assert caplog.text.count("a.jpg is not a readable image") == 1
    Image.new("RGB", (8, 8)).save(images / "b.jpg")
    take_frames(agent, clock, 1)
    assert agent.status()["healthy"] and agent.status()["frames"] == 1


def test_an_image_that_is_deleted_while_it_is_scored_does_no_harm(tmp_path, clock, monkeypatch):
    images = tmp_path / "images"
    images.mkdir()
    agent = Agent(settings(tmp_path), clock, FolderCamera(CameraSettings(source=str(images))))
    Image.new("RGB", (8, 8)).save(images / "a.jpg")
    reason = agent.parts.selection.reason

    def rotate(*seen):
        (images / "a.jpg").unlink()
        return reason(*seen)

    monkeypatch.setattr(agent.parts.selection, "reason", rotate)
    take_frames(agent, clock, 1)
    assert agent.parts.queue.size()["images"] == 1 and not agent.status()["recent_errors"]
