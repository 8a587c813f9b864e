"""A store that answers, and not as it should: one line at once, or a wait where waiting helps."""

import os
import shutil
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
from bakery import STEP, baked
from mlflow import MlflowClient
from mlflow_server import started

from edge.update.errors import RegistryError
from edge.update.registry import Registry
from steps.pipeline import copied_store, tracking_store
from steps.settings.profile import PROJECT

LOCKED_SECONDS = float(os.environ.get("LOCKED_SECONDS", "22"))
"""Longer than MLflow waits by itself, which is 20 s."""


@contextmanager
def answering(status: int, body: bytes, certificate: Path | None = None) -> Iterator[str]:
    """The address of a server with one answer; with a certificate that it has signed itself."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 – the name that the server looks for

        def log_message(self, *_):
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        served.socket = context.wrap_socket(served.socket, server_side=True)
    threading.Thread(target=served.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http{'s' * bool(certificate)}://127.0.0.1:{served.server_port}"
    finally:
        served.shutdown()
        served.server_close()


@contextmanager
def self_signed(home: Path) -> Iterator[str]:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    command += " -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout k -out c"
    subprocess.run(command.split(), cwd=home, check=True, capture_output=True)
    (home / "both.pem").write_text((home / "k").read_text() + (home / "c").read_text())
    with answering(200, b"{}", home / "both.pem") as address:
        yield address


@contextmanager
def under_another_name(home: Path) -> Iterator[str]:
    """MLflow's own server; a device gets the same answer."""
    with started(home, "--allowed-hosts", "mlflow.example") as (address, _, log):
        deadline = time.monotonic() + 90
        while b"startup complete" not in log.read_bytes() and time.monotonic() < deadline:
            time.sleep(0.2)
        with pytest.raises(RegistryError, match="--allowed-hosts 127.0.0.1"):
            Registry(address).release("package-onnx", "champion")
        yield address


def page(home: Path):
    return answering(200, b"<!DOCTYPE html>\n<html>\n<p>Welcome to nginx!</p>\n</html>")


def unknown_page(home: Path):
    return answering(404, b"<html>\n<h1>Not found</h1>\n</html>")


def closed(home: Path):
    return answering(401, b"You are not authenticated.\nSee the documentation.")


def bake(*arguments: str) -> str:
    """Run the step, which has to fail; its one line."""
    with pytest.raises(SystemExit) as ended:
        STEP.main(["--mill_run_id", "none", *arguments])
    said = str(ended.value)
    assert "\n" not in said and "Traceback" not in said
    return said.removeprefix("bake: ")


@pytest.mark.parametrize(
    ("place", "why", "fix"),
    [
        (page, "answers with a page", "check MLFLOW_TRACKING_URI"),
        (unknown_page, "answers with a page", "check MLFLOW_TRACKING_URI"),
        (closed, "does not let this user in", "set MLFLOW_TRACKING_USERNAME"),
        (
            self_signed,
            "is not trusted (self-signed certificate)",
            "MLFLOW_TRACKING_SERVER_CERT_PATH",
        ),
        pytest.param(
            *(under_another_name, "takes no requests for the name 127.0.0.1"),
            "--allowed-hosts 127.0.0.1",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_server_that_refuses_is_one_line_within_seconds(
    store, monkeypatch, tmp_path, place, why, fix
):
    with place(tmp_path) as address:
        mlflow.set_tracking_uri(address)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        begin = time.monotonic()
        said = bake()
        assert time.monotonic() - begin < 10
    assert said.startswith(address) and why in said and fix in said


def test_make_asks_a_server_before_mlflow_does(tmp_path):
    with page(tmp_path) as address:
        done = subprocess.run(
            [sys.executable, "-m", "steps.pipeline.outages"],
            cwd=PROJECT,
            env=os.environ | {"MLFLOW_TRACKING_URI": address},
            capture_output=True,
            text=True,
        )
    (said,) = done.stderr.splitlines()
    assert done.returncode == 1 and said.startswith(f"{address} answers with a page")


def file_of(store: str) -> str:
    return store.removeprefix("sqlite:///")


@contextmanager
def locked(store: str, seconds: float) -> Iterator[None]:
    """Another program that has the store to itself, as a backup or a hung run has."""
    other = sqlite3.connect(file_of(store), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(seconds, lambda: other.execute("ROLLBACK"))
    release.start()
    try:
        yield
    finally:
        release.join()
        other.close()


@pytest.mark.slow
def test_a_store_that_is_locked_for_a_while_is_waited_for(store):
    with locked(store, LOCKED_SECONDS):
        STEP.main(["--mill_run_id", "none"])
    assert [run.info.status for run in baked()] == ["FINISHED"]


@pytest.mark.slow
def test_a_store_that_stays_locked_is_one_line(store, monkeypatch):
    monkeypatch.setattr(tracking_store, "WAIT_FOR_LOCKS", "PRAGMA busy_timeout = 200")
    monkeypatch.setattr(copied_store, "LOCKED_SECONDS", 0.2)
    with mlflow.start_run():
        pass  # the engine is there
    with locked(store, 8):
        said = bake()
    assert said.startswith(f"another program has kept {file_of(store)} locked")


def test_a_deleted_experiment_is_one_line_with_the_command_that_restores_it(store):
    MlflowClient().delete_experiment("0")
    said = bake()
    assert "experiment 0 was deleted" in said
    assert "mlflow experiments restore --experiment-id 0" in said


FULL = """
mount -t tmpfs -o size=1200k none {home} && cp {store} {home}/mlflow.db
cat /dev/zero > {home}/filler 2>/dev/null || true
cd {home} && exec {python} -c "
import sys
sys.path[:0] = ['{tests}', '{project}']
from bakery import STEP
STEP.main(['--mill_run_id', 'none'])"
"""


def test_a_full_disk_of_the_store_is_one_line(empty_store, tmp_path):
    project = Path(tracking_store.__file__).parents[2]
    (tmp_path / "disk").mkdir()
    script = FULL.format(
        home=tmp_path / "disk",
        store=shutil.copy(empty_store, tmp_path),
        python=project / ".venv" / "bin" / "python",
        tests=project / "tests" / "steps",
        project=project,
    )
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-ec", script],
        env=os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/disk/mlflow.db"},
        capture_output=True,
        text=True,
    )
    if "unshare" in done.stderr:
        pytest.skip(f"NOT PROVEN HERE: no file system of its own ({done.stderr.strip()})")
    (said,) = done.stderr.splitlines()
    assert done.returncode == 1 and "disk" in said and "full" in said
