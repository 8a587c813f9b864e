"""The agent and its model: a new one, a damaged one, one that fails, and none."""

import shutil

import numpy as np
from agent_fakes import NOBODY, agent_of, looks, place_model

from edge.agent.model import FRAMES_OF_PROBATION
from edge.agent.settings import ModelSettings
from edge.update.current import CurrentModel


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
        agent.status()["model_version"] == "5" and agent.parts.watcher.state.result.label == "dark"
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
    assert said == ["it fails on a real frame: [1, 2] nan nan are not probabilities of 2 classes"]
    looks(agent, clock, 1)
    assert agent.parts.watcher.state.result.score is not None
    reasons = [
        row["reason"]
        for row in agent.parts.store.database.rows("SELECT reason FROM results ORDER BY id")
    ]
    assert reasons[0].startswith("the model fails") and reasons[1] is None


def test_a_model_that_comes_later_is_found(tmp_path, clock):
    agent = agent_of(tmp_path, clock, model=ModelSettings("http://127.0.0.1:9", "brightness"))
    looks(agent, clock, 2)
    assert agent.parts.watcher.state.frames == 2 and agent.parts.watcher.state.result is None
    place_model(tmp_path / "store" / "models" / "brightness")
    looks(agent, clock, 1)
    assert agent.parts.watcher.state.result.version == "4"


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
    assert said["health_issues"][0].startswith("model: no whole model in ")
    assert said["model_failure"].startswith("no whole model in ")
    assert "pull" not in said["model_failure"], "the agent does that by itself"
    assert 8 < len(loads) < 16 and loads[1] - loads[0] < 2 and loads[-1] - loads[-2] > 250
    (home / "4" / "model.onnx").write_bytes(whole)
    _made_anew(home / "4" / "release.json")
    looks(agent, clock, 1)
    assert agent.status()["healthy"] and agent.parts.watcher.state.result.version == "4"


def test_a_model_that_fails_on_every_frame_is_not_loaded_for_each(
    tmp_path, clock, with_model, monkeypatch
):
    agent = with_model()
    broken = np.full((1, 2), np.nan, np.float32)
    monkeypatch.setattr("edge.inference.scoring.Scorer.score_prepared", lambda self, pixels: broken)
    looks(agent, clock, 600)
    assert "fails on a real frame" in agent.status()["health_issues"][0]
    assert 5 < agent.parts.results.size()["results"] < 15
    monkeypatch.undo()
    looks(agent, clock, 301)
    assert agent.status()["healthy"] and agent.parts.watcher.state.result.score is not None


def _made_anew(path):
    """As an update replaces a file that was damaged."""
    copy = path.with_suffix(".new")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


def test_a_device_that_has_no_model_yet_says_so(tmp_path, clock):
    agent = agent_of(tmp_path, clock, model=ModelSettings(NOBODY, "brightness"))
    looks(agent, clock, 1)
    agent.parts.follower.work()
    said = agent.status()
    assert said["health_issues"] == [f"model: {said['model_failure']}"]
    assert said["model_failure"].startswith("none was pulled yet; no MLflow server answers")


def test_a_device_without_its_models_folder_goes_on(tmp_path, clock, with_model):
    agent = with_model()
    looks(agent, clock, 1)
    shutil.rmtree(tmp_path / "store" / "models")
    looks(agent, clock, 3)
    assert agent.parts.watcher.state.frames == 4
