"""A real MLflow server on loopback, and models registered on it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import requests
from signing import OURS, signing
from tiny_model import statement, write_model, write_reference_images

SERVER_SECONDS = 90


@contextmanager
def started(home: Path, *options: str, **environment: str):
    """An MLflow server that has begun to start: its address, its process and its log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
                *("--port", str(port), "--workers", "1"),
                *("--backend-store-uri", f"sqlite:///{home}/mlflow.db"),
                *("--artifacts-destination", str(home / "artifacts"), *options),
            ],
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its workers end with it
        )
    try:
        yield f"http://127.0.0.1:{port}", server, home / "log"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def wait_until_healthy(address: str, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            if requests.get(f"{address}/health", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    raise RuntimeError(f"no MLflow server after {SERVER_SECONDS} s: {log.read_text()[-2000:]}")


class Registered:
    """A registered model on a real server, whose versions a test publishes, by plain REST."""

    def __init__(self, server: str, name: str, scratch: Path, auth=None):
        self.server, self.name, self.scratch = server, name, scratch
        self.auth = auth
        self.releases = 0
        self.post("registered-models/create", name=name)
        self.experiment = self.post("experiments/create", name=name)["experiment_id"]

    def post(self, route: str, **fields) -> dict:
        address = f"{self.server}/api/2.0/mlflow/{route}"
        answer = requests.post(address, json=fields, auth=self.auth, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    def set_alias(self, alias: str, version: str) -> None:
        self.post("registered-models/alias", name=self.name, alias=alias, version=version)

    def set_release(self, version: str, stated: dict) -> None:
        tag = {"key": "release", "value": json.dumps(stated)}
        self.post("model-versions/set-tag", name=self.name, version=version, **tag)

    def publish(
        self,
        steepness=0.05,
        alias="champion",
        tag=True,
        change=None,
        reference=False,
        signed=True,
        **record,
    ) -> str:
        """Register a version, tag its release and set an alias; returns the version.

        Args:
            tag: whether there is a release statement at all.
            reference: whether it has reference images.
            change: called with the statement before it is tagged; may alter it, and sign it.
            signed: whether the statement is signed if nothing alters it.
        """
        folder = write_model(self.scratch / f"{time.monotonic_ns()}", steepness, **record)
        if reference:
            write_reference_images(folder)
        run = self.post("runs/create", experiment_id=self.experiment)["run"]["info"]
        source = f"{run['artifact_uri']}/model"
        place = source.removeprefix("mlflow-artifacts:/")
        for path in folder.iterdir():
            answer = requests.put(
                f"{self.server}/api/2.0/mlflow-artifacts/artifacts/{place}/artifacts/{path.name}",
                data=path.read_bytes(),
                auth=self.auth,
                timeout=60,
            )
            assert answer.ok, answer.text
        fields = {"name": self.name, "source": source, "run_id": run["run_id"]}
        version = self.post("model-versions/create", **fields)["model_version"]["version"]
        self.releases += 1
        stated = statement(folder, self.name, version, self.releases)
        if change:
            change(stated)
        elif signed:
            signing(OURS)(stated)
        if tag:
            self.set_release(version, stated)
        self.set_alias(alias, version)
        return version
