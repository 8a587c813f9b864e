"""The registry or the artifact store goes away in the middle of register, promote and export.

Between a step and a real server stands a line. A step is run once whole, to see what it asks of the
server; then again and again, and at one of those requests the server is gone, or only its answer is
lost, or the artifact store is replaced by something that is none. Whatever the request: the step
says so in one line, no alias names what is not whole, and once all is back, a rerun completes.

    FAULT_POINTS=all make prove ARGS=tests/steps/release/test_faults.py    # at every request
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
import requests
import yaml
from line import Line, Request
from mlflow import MlflowClient
from small_registry import light_meter, trained, write_profile

from edge.protocol.release import Release
from steps import export, promote, register
from steps.registry import aliases
from steps.registry.versions import load_keras, version_by_alias

POINTS = os.environ.get("FAULT_POINTS", "2")
"""Requests at which each fault comes, spread over a step; or ``all``."""

pytestmark = [pytest.mark.slow, pytest.mark.proof]


class Server:
    """A tracking server with an artifact store of its own, which can be lost and come back."""

    def __init__(self, home):
        self.home, self.artifacts = home, home / "artifacts"
        self.artifacts.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
            + ["--port", str(self.port), "--workers", "1"]
            + ["--backend-store-uri", f"sqlite:///{self.home}/mlflow.db"]
            + ["--artifacts-destination", str(self.artifacts)],
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(400):
            try:
                if requests.get(f"{self.address}/health", timeout=2).ok:
                    return
            except requests.RequestException:
                time.sleep(0.3)
        raise RuntimeError("the server did not come up")

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def lose_artifacts(self) -> None:
        self.artifacts.rename(self.home / "elsewhere")
        self.artifacts.write_text("no folder")

    def find_artifacts(self) -> None:
        if self.artifacts.is_file():
            self.artifacts.unlink()
            (self.home / "elsewhere").rename(self.artifacts)


@pytest.fixture(scope="module")
def server(empty_store, tmp_path_factory):
    home = tmp_path_factory.mktemp("server")
    shutil.copy(empty_store, home / "mlflow.db")
    server = Server(home)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def line(server):
    with pytest.MonkeyPatch.context() as patch, Line(server.port).open() as line:
        patch.chdir(server.home)
        for name, value in {
            "MLFLOW_TRACKING_URI": line.address,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
            "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        }.items():
            patch.setenv(name, value)
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        patch.setattr(aliases, "CLAIM_SECONDS", 1.0)  # of the run that was cut off
        mlflow.set_tracking_uri(line.address)
        # the empty store's own experiment keeps its artifacts beside it, not with this server
        mlflow.set_experiment("faults")
        yield line
        mlflow.set_experiment(experiment_id="0")
        mlflow.set_tracking_uri(None)


@dataclass(frozen=True)
class Registry:
    """Two versions of a model, both exported, of which the second is the champion.

    Attributes:
        name: the registered model.
        profile: the file of the profile that names it.
        registered: the run of register of each version.
    """

    name: str
    profile: Path
    registered: tuple[str, str]

    def run(self, step, *arguments: str) -> str:
        """Run a step as the command line does; the ID of its run."""
        step.STEP.main(["--profile", str(self.profile), *arguments])
        return mlflow.last_active_run().info.run_id

    def let(self, champion: str) -> None:
        """Champion is a version again, whatever was tried before."""
        client = MlflowClient()
        for name in (self.name, f"{self.name}-onnx"):
            client.set_registered_model_alias(name, "champion", champion)
        for version in "12":
            for tag in ("withdrawn", "promotion"):
                client.delete_model_version_tag(self.name, version, tag)

    def named(self, alias: str = "champion", suffix: str = "") -> str:
        return str(version_by_alias(self.name + suffix, alias).version)


@pytest.fixture(scope="module")
def registry(server, line):
    home = server.home / "home"
    home.mkdir()
    profile = write_profile(home)
    content = yaml.safe_load(profile.read_text())
    profile.write_text(yaml.safe_dump(content | {"model": "porch"}))
    runs = []
    registry = Registry("porch", profile, ())
    for seed in (0, 1):
        run_id = trained(profile, light_meter(seed=seed))
        runs.append(registry.run(register, "--train_run_id", run_id))
        for step in (promote, export):
            registry.run(step)
    return Registry("porch", profile, tuple(runs))


@dataclass(frozen=True)
class Case:
    """A step that is cut off.

    Attributes:
        before: makes sure that the step has something to do.
        run: runs it.
        came_about: whether everything that it is for is there.
    """

    before: Callable[[Registry], None]
    run: Callable[[Registry], object]
    came_about: Callable[[Registry], bool]


def newest(registry: Registry, suffix: str = "") -> str:
    found = MlflowClient().search_model_versions(f"name = '{registry.name}{suffix}'")
    return str(max(int(version.version) for version in found))


CASES = {
    "register": Case(
        lambda registry: None,
        lambda registry: registry.run(register),
        lambda registry: registry.named("challenger") == newest(registry),
    ),
    "promote": Case(
        lambda registry: registry.let("1"),
        lambda registry: registry.run(promote, "--register_run_id", registry.registered[1]),
        lambda registry: registry.named() == "2",
    ),
    "roll back": Case(
        lambda registry: registry.let("2"),
        lambda registry: registry.run(promote, "--version", "1", "--reason", "sees ghosts"),
        lambda registry: registry.named() == registry.named(suffix="-onnx") == "1",
    ),
    "export": Case(
        lambda registry: registry.let("2"),
        lambda registry: registry.run(export),
        lambda registry: registry.named(suffix="-onnx") == newest(registry, "-onnx"),
    ),
}

FAULTS = {
    "gone": lambda request: True,
    "answer lost": lambda request: request.changes,
    "no artifacts": lambda request: request.of_artifacts,
}
"""Each with the requests at which it makes a difference."""


def require_whole_aliases(name: str) -> None:
    """Load what each alias names, and find the reason why it does."""
    for alias in ("challenger", "champion"):
        version = version_by_alias(name, alias)
        assert version.status == "READY"
        load_keras(version)
        assert str(version.version) in {move.version for move in aliases.history(name, alias)}
    version = version_by_alias(f"{name}-onnx", "champion")
    release = Release.parse(version.tags["release"])
    uri = f"models:/{version.name}/{version.version}"
    folder = mlflow.artifacts.download_artifacts(artifact_uri=f"{uri}/artifacts")
    release.require_files(Path(folder))
    mlflow.pyfunc.load_model(uri)


def points(asked: list[Request], makes_a_difference: Callable[[Request], bool]) -> list[int]:
    """The numbers, from 1, of the requests at which a fault comes."""
    every = [number for number, request in enumerate(asked, 1) if makes_a_difference(request)]
    if POINTS == "all" or len(every) <= int(POINTS):
        return every
    step = len(every) / int(POINTS)  # of one it is the middle, of two a quarter and three, …
    return [every[int(step * (place + 0.5))] for place in range(int(POINTS))]


@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("case", CASES)
def test_nothing_half_done_is_ever_named_and_a_rerun_completes(case, fault, registry, line, server):
    step = CASES[case]
    step.before(registry)
    line.break_at(None)
    step.run(registry)
    asked = line.requests
    assert len(asked) > 10
    numbers = points(asked, FAULTS[fault])
    assert numbers
    for number in numbers:
        step.before(registry)
        line.break_at(number, server.lose_artifacts if fault == "no artifacts" else fault)
        said = ""
        try:
            step.run(registry)
        except SystemExit as ended:  # in one line: a trace would be another error, and fail here
            said = str(ended.code)
        at = line.requests[number - 1]
        line.break_at(None)
        server.find_artifacts()
        require_whole_aliases(registry.name)
        if fault != "no artifacts":
            assert f": {line.address} does not answer (" in said, (number, at, said)
            assert "; once it does, resume with: mlflow run . " in said
        if said:
            step.run(registry)
        assert step.came_about(registry), (number, at)
        require_whole_aliases(registry.name)
        print(f"{case}, {fault} at request {number} of {len(asked)}: {at.method} {at.path[:60]}")
