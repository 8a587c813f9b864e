"""A pulled model on a device, and agents that a test drives step by step."""

import json
from pathlib import Path

import pytest
from fakes import FakeClock, agent_of
from tiny_model import statement, write_model

from edge.agent.settings import ModelSettings

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def with_model(tmp_path, clock):
    """Makes an agent that has a model: the brighter a frame, the surer "bright" it is."""

    def make(steepness: float = 0.05, **parts):
        place_model(tmp_path / "store" / "models" / "brightness", steepness)
        followed = {"model": ModelSettings(NOBODY, "brightness")}
        return agent_of(tmp_path, clock, **followed | parts)

    return make


def place_model(home: Path, steepness: float = 0.05, version: str = "4") -> None:
    """A model's folder as a pull leaves it."""
    folder = write_model(home / version, steepness)
    (folder / "release.json").write_text(json.dumps(statement(folder, home.name, version)))
    (home / "current").symlink_to(version)
