"""A device in a rollout: it follows the canary from its place on, and the champion otherwise."""

import base64
import json
from urllib.parse import parse_qs, urlsplit

import pytest
from agent_fakes import FakeClock, agent_of, take_frames
from release_server import KEY, MODEL, PUBLIC_KEY, ReleaseServer
from tiny_model import write_model

from edge.agent.settings import ModelSettings
from edge.protocol.rollout import Rollout, failed_releases, place_of

PLACE = place_of("a7", MODEL)


class RolloutServer(ReleaseServer):
    """Has an own release for ``canary``, if there is one, and a tag for the champion's version."""

    def __init__(self):
        super().__init__()
        self.canary, self.rollout = None, None
        self.fault = self.answer

    def answer(self, handler) -> bool:
        query = parse_qs(urlsplit(handler.path).query)
        if "get-artifact" in handler.path:
            number = query["version"][0]
            held = [held for held in (self.canary, self.champion) if held and held[2] == number]
            self.folder = held[0][1]
            return False
        is_canary = query["alias"] == ["canary"]
        if is_canary and self.canary is None:
            handler.send(404, b'{"message": "no such alias"}')
            return True
        statement, _, version = self.canary if is_canary else self.champion
        tags = [{"key": "release", "value": statement}]
        if self.rollout and not is_canary:
            tags.append({"key": "rollout", "value": self.rollout})
        found = {"model_version": {"name": MODEL, "version": version, "tags": tags}}
        handler.send(200, json.dumps(found).encode())
        return True

    def state(self, folder, number: int) -> tuple[str, object, str]:
        self.release(folder, number)
        return self.statement, folder, str(number)

    def begin(self, share: float, version: str = "2") -> None:
        self.rollout = Rollout(version, share, "2026-07-01T12:00:00+00:00").text()


@pytest.fixture
def rollout(folders):
    server = RolloutServer()
    server.champion = server.state(folders[1], 1)
    yield server
    server.close()


@pytest.fixture
def agent(rollout, tmp_path):
    """An agent whose device is a7, and its model of release 1 confirmed."""
    keys = tmp_path / "keys.txt"
    keys.write_text(PUBLIC_KEY + "\n")
    model = ModelSettings(rollout.address, MODEL, keys=str(keys), poll_seconds=1)
    agent = agent_of(tmp_path, FakeClock(), model=model)
    assert poll(agent) == 1
    return agent


def poll(agent) -> int:
    """Poll, and score frames; return the release in use."""
    clock = agent.parts.clock
    clock.advance(5000)
    agent.parts.follower.work()
    take_frames(agent, clock, 4)
    return agent.parts.model.current.release


def test_a_device_follows_the_canary_from_its_place_on(agent, rollout, folders):
    rollout.canary = rollout.state(folders[2], 2)
    assert poll(agent) == 1, "there is no rollout"
    rollout.begin(PLACE * 0.999)
    assert poll(agent) == 1, "its share does not reach this device"
    rollout.begin(PLACE * 1.001, version="3")
    assert poll(agent) == 1, "it is the rollout of another version"
    rollout.begin(PLACE * 1.001)
    assert poll(agent) == 2
    assert not agent.parts.updater.probation.is_active() and agent.status()["model_failure"] is None
    rollout.champion = rollout.state(folders[1], 3)
    assert poll(agent) == 2, "the champion is released again, and the rollout goes on"
    rollout.rollout = None
    assert poll(agent) == 3, "it is taken back"


@pytest.mark.parametrize("text", ["{", '{"version": "2", "share": 7, "since": ""}'])
def test_a_damaged_tag_is_no_rollout(agent, rollout, folders, text):
    rollout.canary, rollout.rollout = rollout.state(folders[2], 2), text
    assert poll(agent) == 1 and agent.status()["model_failure"] is None


def test_a_rollout_without_its_canary_leaves_the_champion(agent, rollout, folders):
    rollout.begin(1.0)
    rollout.champion = rollout.state(folders[3], 3)
    assert poll(agent) == 3


def test_a_canary_that_fails_is_reported_and_the_champion_followed(
    agent, rollout, folders, tmp_path
):
    """It has no reference images that its self-test could pass."""
    bad = write_model(tmp_path / "bad")
    (bad / "reference_images.json").write_text('{"images": []}')
    rollout.canary = rollout.state(bad, 2)
    rollout.begin(1.0)
    for _ in range(2):
        assert poll(agent) == 1
        assert failed_releases(agent.status()["model_failure"]) == {2}
    rollout.champion = rollout.state(folders[3], 3)
    assert poll(agent) == 3, "a newer champion is still installed"
    assert failed_releases(agent.status()["model_failure"]) == {2}


def test_the_tag_cannot_have_an_unsigned_release_installed(agent, rollout, folders):
    statement, folder, version = rollout.state(folders[2], 2)
    unsigned = json.loads(statement)
    signature = KEY.sign(b"something else")
    unsigned["signatures"] = {PUBLIC_KEY: base64.b64encode(signature).decode()}
    rollout.canary = json.dumps(unsigned), folder, version
    rollout.begin(1.0)
    assert poll(agent) == 1
    failure = agent.status()["model_failure"]
    assert failure.startswith("canary: ") and failed_releases(failure) == set()


def test_the_tag_cannot_have_an_older_release_installed(agent, rollout, folders):
    rollout.canary = rollout.state(folders[2], 2)
    rollout.champion = rollout.state(folders[3], 3)
    assert poll(agent) == 3
    rollout.begin(1.0)
    assert poll(agent) == 3
    assert "canary: release 2" in agent.status()["model_failure"]
