"""A tiny real model, a real MLflow server, simulated frames, and agents driven step by step."""

import os
import subprocess
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from agent_fakes import NOBODY, FakeClock, agent_of, place_model
from mlflow_server import Registered, started, wait_until_healthy
from tiny_model import write_model

from edge.agent.settings import ModelSettings
from edge.cameras.camera import CameraSettings
from edge.cameras.simulated import SimulatedCamera

GIVEN_SERVER = "EDGE_TEST_SERVER"
"""Environment variable: the address of an MLflow server that runs already, as for the tests on an
emulated device, which has no MLflow."""


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def simulated() -> SimulatedCamera:
    start, period = datetime(2026, 7, 13, tzinfo=UTC), timedelta(minutes=30)
    return SimulatedCamera(CameraSettings(start=start, period=period))


@pytest.fixture(scope="session", autouse=True)
def starting_server(request, tmp_path_factory):
    """Starts an MLflow server with the first test if any test wants it: that takes a while."""
    wanted = any("mlflow_server" in item.fixturenames for item in request.session.items)
    if GIVEN_SERVER in os.environ or not wanted:
        yield None
        return
    with started(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@pytest.fixture(scope="session")
def mlflow_server(starting_server) -> str:
    """The address of a running MLflow server."""
    if starting_server is None:
        return os.environ[GIVEN_SERVER]
    wait_until_healthy(*starting_server)
    return starting_server[0]


@pytest.fixture(scope="session")
def register_model(mlflow_server, tmp_path_factory) -> Callable[[], Registered]:
    """Registers a model without versions."""

    def register() -> Registered:
        scratch = tmp_path_factory.mktemp("published")
        # a name of its own, as another session may use the server too
        return Registered(mlflow_server, f"model-{uuid.uuid4().hex[:12]}", scratch)

    return register


@pytest.fixture
def registered(register_model) -> Registered:
    """A registered model without versions."""
    return register_model()


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


@pytest.fixture
def small_disk(tmp_path):
    """A real disk of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
