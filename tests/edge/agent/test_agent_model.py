"""The agent and its model: a new one, a damaged one, one that fails, and none."""

import itertools
import shutil

import numpy as np
import pytest
from agent_fakes import NOBODY, agent_of, live, place_model, take_frames

from edge.agent.model import FRAMES_OF_PROBATION
from edge.agent.settings import ModelSettings
from edge.cameras.camera import Frame, Shot
from edge.inference.region import WHOLE, Region
from edge.update.current import CurrentModel


class Probation:
    """A model that is on probation until it is confirmed or reverted."""

    def __init__(self, ended):
        self.ended = ended

    def recover(self, crash):
        pass

    def is_active(self, folder):
        return not self.ended

    def commit(self, folder):
        self.ended.append("confirmed")

    def rollback(self, reason, folder, although_committed):
        self.ended.append(reason)


def test_a_new_model_is_used_from_the_next_frame_and_confirmed(tmp_path, clock, with_model):
    agent = with_model()
    agent.parts.camera.grey = 250
    confirmed = []
    agent.parts.model._probation = Probation(confirmed)
    take_frames(agent, clock, 1)
    home = tmp_path / "store" / "models" / "brightness"
    (home / "current").unlink()
    place_model(home, steepness=-0.05, version="5")
    take_frames(agent, clock, FRAMES_OF_PROBATION)
    assert (
        agent.status()["model_version"] == "5" and agent.parts.watcher.state.result.label == "dark"
    )
    assert confirmed == ["confirmed"]


def test_a_new_model_that_fails_on_a_real_frame_is_reverted(
    tmp_path, clock, with_model, monkeypatch
):
    agent = with_model()
    ended = []
    agent.parts.model._probation = Probation(ended)
    agent.parts.model.refresh()
    broken = np.full((1, 2), np.nan, np.float32)
    monkeypatch.setattr(agent.parts.model.current.scorer, "score_prepared", lambda pixels: broken)
    take_frames(agent, clock, 1)
    (reason,) = ended
    assert "real frame: [1, 2] nan nan are not probabilities of 2 classes (frame " in reason
    take_frames(agent, clock, 1)
    assert agent.parts.watcher.state.result.score is not None
    reasons = [
        row["reason"]
        for row in agent.parts.store.database.rows("SELECT reason FROM results ORDER BY id")
    ]
    assert reasons[0].startswith("the model fails") and reasons[1] is None


LEFT, RIGHT = Region(0, 0, 0.5, 1), Region(0.5, 0, 0.5, 1)


@pytest.mark.parametrize(
    ("record", "region", "label"),
    [
        ({}, WHOLE, "bright"),  # by the smaller stream
        ({"regions": {"a7": LEFT, "": RIGHT}}, LEFT, "dark"),
        ({"regions": {"b9": LEFT, "": RIGHT}}, RIGHT, "bright"),
        ({"regions": {"b9": LEFT}}, WHOLE, "bright"),
        ({"resizing": "crop"}, WHOLE, "dark"),
    ],
)
def test_a_part_of_the_image_is_taken_from_the_full_frame(tmp_path, clock, record, region, label):
    """The smaller stream has another shape, in which a crop would be another part."""
    home = tmp_path / "store" / "models" / "brightness"
    place_model(home, **record)
    agent = agent_of(tmp_path, clock, model=ModelSettings(NOBODY, "brightness"))
    full = np.zeros((64, 256, 3), np.uint8)
    full[:, 160:] = 255
    small = np.full((64, 48, 3), 255, np.uint8)
    shot = Shot(small, clock.now().wall_time, lambda: Frame(full, clock.now().wall_time))
    agent.parts.model.refresh()
    assert agent.parts.model.score(shot).label == label
    assert agent.status()["region"] == region


def test_a_model_that_comes_later_is_found(tmp_path, clock):
    agent = agent_of(tmp_path, clock, model=ModelSettings("http://127.0.0.1:9", "brightness"))
    take_frames(agent, clock, 2)
    assert agent.parts.watcher.state.frames == 2 and agent.parts.watcher.state.result is None
    place_model(tmp_path / "store" / "models" / "brightness")
    take_frames(agent, clock, 1)
    assert agent.parts.watcher.state.result.version == "4"


def test_a_damaged_model_is_reported_and_reloaded_with_growing_pauses(
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
    intact = (home / "4" / "model.onnx").read_bytes()
    (home / "4" / "model.onnx").write_bytes(intact[:-1])
    take_frames(agent, clock, 1200)
    status = agent.status()
    assert not status["healthy"] and status["frames"] == 1200 and status["model_version"] is None
    assert status["health_issues"][0].startswith("model: no complete model in ")
    assert status["model_failure"].startswith("no complete model in ")
    assert "pull" not in status["model_failure"], "the agent pulls by itself"
    assert 8 < len(loads) < 16 and loads[1] - loads[0] < 2 and loads[-1] - loads[-2] > 250
    (home / "4" / "model.onnx").write_bytes(intact)
    _replace(home / "4" / "release.json")
    take_frames(agent, clock, 1)
    assert agent.status()["healthy"] and agent.parts.watcher.state.result.version == "4"


def test_a_model_that_fails_on_every_frame_is_not_reloaded_for_each(
    tmp_path, clock, with_model, monkeypatch
):
    agent = with_model()
    broken = np.full((1, 2), np.nan, np.float32)
    monkeypatch.setattr("edge.inference.scoring.Scorer.score_prepared", lambda self, pixels: broken)
    take_frames(agent, clock, 600)
    assert "fails on a real frame" in agent.status()["health_issues"][0]
    assert 5 < agent.parts.results.size()["results"] < 15
    monkeypatch.undo()
    take_frames(agent, clock, 301)
    assert agent.status()["healthy"] and agent.parts.watcher.state.result.score is not None


def _replace(path):
    """As an update replaces a file that was damaged."""
    copy = path.with_suffix(".new")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


def test_a_device_without_a_model_reports_it(tmp_path, clock):
    agent = agent_of(tmp_path, clock, model=ModelSettings(NOBODY, "brightness"))
    take_frames(agent, clock, 1)
    agent.parts.follower.work()
    status = agent.status()
    assert status["health_issues"] == [f"model: {status['model_failure']}"]
    assert status["model_failure"].startswith("no model was pulled yet; no MLflow server answers")


def test_a_device_without_its_models_folder_keeps_running(tmp_path, clock, with_model):
    agent = with_model()
    take_frames(agent, clock, 1)
    shutil.rmtree(tmp_path / "store" / "models")
    take_frames(agent, clock, 3)
    assert agent.parts.watcher.state.frames == 4


def test_without_a_model_the_registry_is_asked_again_after_5_10_20_seconds(tmp_path, clock):
    agent = agent_of(tmp_path, clock, model=ModelSettings(NOBODY, "brightness"))
    asked, check = [], agent.parts.updater.check
    agent.parts.updater.check = lambda: asked.append(clock.uptime()) or check()
    live(agent, clock, seconds=76)
    waits = [later - earlier for earlier, later in itertools.pairwise(asked)]
    for wait, longest in zip(waits, (5, 10, 20, 40), strict=False):
        assert longest / 2 <= wait <= longest + 1
    assert len(asked) >= 5 and agent.status()["registry_reached_at"] is None
