"""The agent's parts together, step by step."""

import json
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from agent_fakes import NOBODY, agent_of, landed, place_model, send_all

from edge.agent.model import FRAMES_OF_PROBATION
from edge.agent.reason import Reason
from edge.agent.settings import CaptureSettings, ModelSettings, ScoreSettings
from edge.cameras.camera import CameraError, Frame, Shot
from edge.current import CurrentModel


def looks(agent, clock, count, seconds=1.0):
    for _ in range(count):
        agent.parts.watcher.look()
        clock.go_on(seconds)


def stated(tmp_path) -> list[dict]:
    files = sorted((tmp_path / "landing" / "results" / "a7").iterdir())
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


def test_without_a_model_pictures_are_taken_and_sent(tmp_path, clock):
    agent = agent_of(tmp_path, clock)
    looks(agent, clock, 181)
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
    looks(agent, clock, 1)
    agent.parts.camera.grey = 250
    looks(agent, clock, 3)
    clock.go_on(3600)
    send_all(agent)
    rows = stated(tmp_path)
    assert [row["label"] for row in rows] == ["dark"] + ["bright"] * 3
    assert landed(tmp_path) == [rows[0]["file_name"]] and rows[1]["file_name"] is None
    assert abs(rows[0]["score"] - 0.5) < 0.02 and rows[1]["score"] > 0.9
    assert rows[0]["sha256"] and rows[0]["scored_by"] == "edge:a7"
    assert agent.parts.watcher.seen.kept == {Reason.UNCERTAIN: 1}


def test_a_demand_keeps_the_next_frame(tmp_path, clock):
    agent = agent_of(tmp_path, clock, capture=CaptureSettings(period_seconds=0))
    looks(agent, clock, 2)
    agent.demand()
    looks(agent, clock, 2)
    assert agent.parts.watcher.seen.kept == {Reason.DEMAND: 1}


def test_a_stalled_camera_is_started_again(tmp_path, clock):
    agent = agent_of(tmp_path, clock)
    looks(agent, clock, 3)
    agent.parts.camera.fault = "stalled"
    looks(agent, clock, 3)
    said = agent.status()
    assert not said["healthy"] and "no frame within 20 s" in said["camera_failure"]
    agent.parts.camera.fault = None
    looks(agent, clock, 60)
    said = agent.status()
    assert said["healthy"] and said["camera_failure"] is None and said["frames"] > 50
    assert agent.parts.camera.opened == 1 + said["camera_restarts"] and said["camera_restarts"] >= 1
    assert said["troubles"][0]["what"] == "camera: no frame within 20 s"


def test_a_camera_that_does_not_come_back_ends_the_process_and_one_that_never_came_does_not(
    tmp_path, clock
):
    agent = agent_of(tmp_path, clock)
    agent.parts.camera.fault = "gone"
    looks(agent, clock, 2000)
    agent.parts.camera.fault = None
    looks(agent, clock, 100)
    assert agent.parts.watcher.seen.frames > 0
    agent.parts.camera.fault = "gone"
    with pytest.raises(CameraError, match="no camera number 0"):
        looks(agent, clock, 2000)


def test_a_camera_that_is_gone_is_not_asked_all_the_time(tmp_path, clock):
    agent = agent_of(tmp_path, clock)
    agent.parts.camera.fault = "gone"
    looks(agent, clock, 600)
    assert 10 < agent.parts.camera.asked < 25


def test_a_new_model_is_used_from_the_next_look_on_and_confirmed(tmp_path, clock, with_model):
    agent = with_model()
    agent.parts.camera.grey = 250
    confirmed = []
    agent.parts.model._probation = Probation(confirmed)
    looks(agent, clock, 1)
    home = tmp_path / "store" / "models" / "brightness"
    (home / "current").unlink()
    place_model(home, steepness=-0.05, version="5")
    looks(agent, clock, FRAMES_OF_PROBATION)
    assert (
        agent.status()["model_version"] == "5" and agent.parts.watcher.seen.result.label == "dark"
    )
    assert confirmed == ["confirmed"]


def test_a_new_model_that_fails_on_a_real_frame_is_undone(tmp_path, clock, with_model, monkeypatch):
    agent = with_model()
    said = []
    agent.parts.model._probation = Probation(said)
    agent.parts.model.refresh()
    broken = np.full((1, 2), np.nan, np.float32)
    monkeypatch.setattr(agent.parts.model.current.scorer, "score_prepared", lambda pixels: broken)
    looks(agent, clock, 1)
    assert said == ["it fails on a real frame: [nan nan] are no probabilities"]
    looks(agent, clock, 1)
    assert agent.parts.watcher.seen.result.score is not None
    reasons = [
        row["reason"] for row in agent.parts.store.rows("SELECT reason FROM results ORDER BY id")
    ]
    assert reasons[0].startswith("the model fails") and reasons[1] is None


def test_a_model_that_comes_later_is_found(tmp_path, clock):
    agent = agent_of(tmp_path, clock, model=ModelSettings("http://127.0.0.1:9", "brightness"))
    looks(agent, clock, 2)
    assert agent.parts.watcher.seen.frames == 2 and agent.parts.watcher.seen.result is None
    place_model(tmp_path / "store" / "models" / "brightness")
    looks(agent, clock, 1)
    assert agent.parts.watcher.seen.result.version == "4"


@pytest.mark.parametrize(
    "shape", [(0, 0, 3), (1, 1, 3), (1, 4000, 3), (7, 5, 1), (48, 64, 4), (48, 64)]
)
def test_frames_of_odd_sizes_do_no_harm(tmp_path, clock, with_model, shape):
    agent = with_model(capture=CaptureSettings(period_seconds=1, motion=True))
    looks(agent, clock, 1)
    _show(agent, np.zeros(shape, np.uint8), clock)
    looks(agent, clock, 2)
    assert agent.parts.watcher.seen.frames == 3


def test_frames_of_random_bytes_do_no_harm(tmp_path, clock, with_model):
    agent = with_model(capture=CaptureSettings(period_seconds=1, motion=True))
    jpeg = agent_jpeg(agent, clock)
    rng = np.random.default_rng(1)
    for number in range(200):
        damaged = bytearray(jpeg if number % 2 else rng.bytes(rng.integers(0, 3000)))
        for place in rng.integers(0, max(len(damaged), 1), 5):
            damaged[place : place + 1] = rng.bytes(1)
        _show(agent, bytes(damaged[: rng.integers(0, len(damaged) + 1)]), clock)
        looks(agent, clock, 1)
    assert agent.parts.watcher.seen.frames == 201
    assert len(agent.parts.watcher.seen.troubles) <= 20


def agent_jpeg(agent, clock) -> bytes:
    looks(agent, clock, 1)
    return agent.parts.queue.next().path.read_bytes()


def _show(agent, picture, clock):
    """Let the camera show a picture that no camera should."""

    @contextmanager
    def shot():
        pixels = picture if isinstance(picture, np.ndarray) else np.zeros((4, 4, 3), np.uint8)
        encoded = picture if isinstance(picture, bytes) else None
        yield Shot.of(Frame(pixels, clock.now().shown, encoded=encoded))

    agent.parts.camera.shot = shot


class Probation:
    """A model that is new until it is confirmed or undone."""

    def __init__(self, said):
        self.said = said

    def recover(self):
        pass

    def lasts(self, folder):
        return not self.said

    def confirm(self, folder):
        self.said.append("confirmed")

    def revert(self, reason, folder):
        self.said.append(reason)


def test_a_camera_that_never_comes_is_asked_for_ever(tmp_path, clock):
    agent = agent_of(tmp_path, clock)
    agent.parts.camera.fault = "gone"
    looks(agent, clock, 1100, seconds=61)
    assert agent.parts.camera.asked == 1100


def test_a_device_whose_model_is_damaged_says_so_and_reads_it_ever_more_seldom(
    tmp_path, clock, with_model, monkeypatch
):
    loads = []

    class Counted(CurrentModel):
        def __init__(self, *arguments):
            loads.append(clock.uptime())
            super().__init__(*arguments)

    monkeypatch.setattr("edge.agent.model.CurrentModel", Counted)
    agent = with_model()
    home = tmp_path / "store" / "models" / "brightness"
    whole = (home / "4" / "model.onnx").read_bytes()
    (home / "4" / "model.onnx").write_bytes(whole[:-1])
    looks(agent, clock, 1200)
    said = agent.status()
    assert not said["healthy"] and said["frames"] == 1200 and said["model_version"] is None
    assert said["complaints"][0].startswith("model: no whole model in ")
    assert said["model_failure"].startswith("no whole model in ")
    assert 8 < len(loads) < 16 and loads[1] - loads[0] < 2 and loads[-1] - loads[-2] > 250
    (home / "4" / "model.onnx").write_bytes(whole)
    _made_anew(home / "4" / "release.json")
    looks(agent, clock, 1)
    assert agent.status()["healthy"] and agent.parts.watcher.seen.result.version == "4"


def test_a_model_that_fails_on_every_frame_is_not_loaded_for_each(
    tmp_path, clock, with_model, monkeypatch
):
    agent = with_model()
    broken = np.full((1, 2), np.nan, np.float32)
    monkeypatch.setattr("edge.scoring.Scorer.score_prepared", lambda self, pixels: broken)
    looks(agent, clock, 600)
    assert "fails on a real frame" in agent.status()["complaints"][0]
    assert 5 < agent.parts.results.size()["results"] < 15
    monkeypatch.undo()
    looks(agent, clock, 301)
    assert agent.status()["healthy"] and agent.parts.watcher.seen.result.score is not None


def _made_anew(path):
    """As an update replaces a file that was damaged."""
    copy = path.with_suffix(".new")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


def test_a_device_that_has_no_model_yet_says_so(tmp_path, clock):
    agent = agent_of(tmp_path, clock, model=ModelSettings(NOBODY, "brightness"))
    looks(agent, clock, 1)
    agent.parts.follower.work()
    assert agent.status()["complaints"] == ["model: none was pulled yet"]
    assert "no MLflow server answers" in agent.status()["model_failure"]


def test_a_device_without_its_models_folder_goes_on(tmp_path, clock, with_model):
    agent = with_model()
    looks(agent, clock, 1)
    shutil.rmtree(tmp_path / "store" / "models")
    looks(agent, clock, 3)
    assert agent.parts.watcher.seen.frames == 4
