"""Agents that a test drives step by step."""

import pytest
from agent_fakes import NOBODY, FakeClock, agent_of, place_model

from edge.agent.settings import ModelSettings


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
