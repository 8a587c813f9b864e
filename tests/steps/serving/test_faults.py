"""The registry or the artifact store goes away in the middle of register, promote and export.

A step is run once whole, to count its requests; then again, and at one of them the server is
killed, or the artifact store replaced by something that is none. Whatever the point: no alias
names what is not whole, and once all is back, a rerun completes.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
import requests
import yaml
from mlflow import MlflowClient
from small_registry import light_meter, trained, write_profile

from edge.release import Release
from steps import export, promote, register
from steps.tracking import aliases
from steps.tracking.registry import load_keras, version_by_alias

POINTS = int(os.environ.get("FAULT_POINTS", "1"))
"""Requests at which each fault comes, spread over a step."""

BEFORE = {register: (), promote: (register,), export: (register, promote)}
SETS = {register: ("", "challenger"), promote: ("", "champion"), export: ("-onnx", "champion")}

pytestmark = [pytest.mark.slow, pytest.mark.proof]


class Server:
    """A tracking server with an artifact store of its own, which can be killed and come back."""

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

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def lose_artifacts(self) -> None:
        self.artifacts.rename(self.home / "elsewhere")
        self.artifacts.write_text("no folder")

    def mend(self) -> None:
        if self.artifacts.is_file():
            self.artifacts.unlink()
            (self.home / "elsewhere").rename(self.artifacts)
        if self.process.poll() is not None:
            self.start()


@pytest.fixture(scope="module")
def server(empty_store, tmp_path_factory):
    home = tmp_path_factory.mktemp("server")
    shutil.copy(empty_store, home / "mlflow.db")
    server = Server(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        for name, value in {
            "MLFLOW_TRACKING_URI": server.address,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
            "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        }.items():
            patch.setenv(name, value)
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        patch.setattr(aliases, "CLAIM_SECONDS", 5.0)  # of the run that was cut off
        mlflow.set_tracking_uri(server.address)
        server.start()
        yield server
        server.kill()
        mlflow.set_tracking_uri(None)


@pytest.fixture
def counting(monkeypatch):
    """Counts requests, and at a chosen one calls a fault first."""
    state = {"count": 0, "at": None, "fault": None}
    send = requests.Session.send

    def counted(session, request, **options):
        state["count"] += 1
        if state["count"] == state["at"]:
            state["fault"]()
        return send(session, request, **options)

    monkeypatch.setattr(requests.Session, "send", counted)
    return state


def prepared(step, server, name: str):
    """A profile and a registry in which a step is the next to run."""
    home = server.home / name
    home.mkdir()
    profile = write_profile(home)
    content = yaml.safe_load(profile.read_text())
    profile.write_text(yaml.safe_dump(content | {"model": name}))
    trained(profile, light_meter())
    for before in BEFORE[step]:
        before.STEP.main(["--profile", str(profile)])
    return profile


def require_whole_aliases(name: str) -> None:
    """Load what each alias names."""
    for alias in ("challenger", "champion"):
        if version := version_by_alias(name, alias):
            assert version.status == "READY"
            load_keras(version)
    if version := version_by_alias(f"{name}-onnx", "champion"):
        release = Release.parse(version.tags["release"])
        uri = f"models:/{version.name}/{version.version}/artifacts"
        folder = mlflow.artifacts.download_artifacts(artifact_uri=uri)
        release.require_files(Path(folder))
        mlflow.pyfunc.load_model(f"models:/{version.name}/{version.version}")


@pytest.mark.parametrize("step", [register, promote, export], ids=lambda step: step.STEP.name)
def test_nothing_half_done_is_ever_named_and_a_rerun_completes(step, server, counting):
    profile = prepared(step, server, f"{step.STEP.name}-whole")
    counting["count"] = 0
    step.STEP.main(["--profile", str(profile)])
    total = counting["count"]
    assert total > 10
    for fault in ("kill", "lose_artifacts"):
        for point in range(POINTS):
            name = f"{step.STEP.name}-{fault}-{point}"
            profile = prepared(step, server, name)
            # of several points the last is the last request but a few
            at = total * (point + 1) // (POINTS + 1) if POINTS > 1 else total * 3 // 4
            counting.update(count=0, at=at, fault=getattr(server, fault))
            try:
                step.STEP.main(["--profile", str(profile)])
                done = True
            except (Exception, SystemExit):
                done = False
            finally:
                counting["at"] = None
                server.mend()
            assert counting["count"] >= at
            assert done is False or fault == "lose_artifacts"
            while mlflow.active_run():
                mlflow.end_run("FAILED")
            require_whole_aliases(name)
            if not done:
                step.STEP.main(["--profile", str(profile)])
            suffix, alias = SETS[step]
            assert MlflowClient().get_model_version_by_alias(name + suffix, alias)
            require_whole_aliases(name)
