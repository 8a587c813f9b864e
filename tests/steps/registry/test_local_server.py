"""A server over the tracking store: it answers, it stops, and its failure to start is an error."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from steps.errors import UserError
from steps.registry import local_server as server
from steps.registry.local_server import tracking_server

# Does not answer its first request, as a server that is not ready yet.
LATE = """\
import http.server, sys
class Late(http.server.BaseHTTPRequestHandler):
    waiting = True
    def do_GET(self):
        if Late.waiting:
            Late.waiting = False
            self.rfile.read()
        else:
            self.send_response(200)
            self.end_headers()
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Late).serve_forever()
"""


@pytest.fixture
def started(monkeypatch) -> list[subprocess.Popen]:
    """The processes that were started, in order."""
    processes = []

    class Recorded(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            processes.append(self)

    monkeypatch.setattr(server.subprocess, "Popen", Recorded)
    return processes


def replace_python(monkeypatch, folder: Path, interpreter: str, script: str) -> None:
    """Start a script instead of the server."""
    path = folder / "python"
    path.write_text(f"#!{interpreter}\n{script}")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def accepts_connections(address: str) -> bool:
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.socket() as caller:
        return caller.connect_ex((host, int(port))) == 0


@pytest.mark.slow
def test_a_server_over_sqlite_serves_the_registry_until_the_end(store, started):
    client = MlflowClient()
    client.create_registered_model("package")
    client.create_model_version("package", "file:///nowhere")
    client.set_registered_model_alias("package", "champion", "1")
    addresses = []

    def fail_inside():
        with tracking_server() as address:
            addresses.append(address)
            served = MlflowClient(address, address)
            assert str(served.get_model_version_by_alias("package", "champion").version) == "1"
            raise KeyError("a failure inside stops the server too")

    with pytest.raises(KeyError):
        fail_inside()
    (address,) = addresses
    assert address.startswith("http://127.0.0.1:")
    assert not accepts_connections(address)
    assert len(started) == 1 and started[0].returncode is not None
    assert mlflow.get_tracking_uri() == store


@pytest.mark.parametrize("store_uri", ["http://127.0.0.1:5000", "https://mlflow.example/path"])
def test_a_store_that_is_a_server_is_used_as_it_is(store, started, store_uri):
    mlflow.set_tracking_uri(store_uri)
    with tracking_server() as address:
        assert address == store_uri
    assert started == []


def test_a_slow_start_is_waited_for(store, tmp_path, monkeypatch, started):
    replace_python(monkeypatch, tmp_path, sys.executable, LATE)
    with tracking_server() as address:
        assert accepts_connections(address)
    assert not accepts_connections(address)
    assert started[0].returncode == -signal.SIGTERM


def test_a_server_that_exits_at_once_is_an_error(store, tmp_path, monkeypatch, started):
    replace_python(monkeypatch, tmp_path, "/bin/sh", "exit 3")
    with pytest.raises(UserError, match="the MLflow server on http://127") as caught:
        tracking_server().__enter__()
    assert "\n" not in str(caught.value) and "MLFLOW_TRACKING_URI" in str(caught.value)
    assert started[0].returncode == 3


def test_a_server_that_never_answers_is_stopped_and_an_error(store, tmp_path, monkeypatch, started):
    replace_python(monkeypatch, tmp_path, "/bin/sh", "sleep 600")
    monkeypatch.setattr(server, "START_SECONDS", 0)
    with pytest.raises(UserError, match="the MLflow server on http://127"):
        tracking_server().__enter__()
    assert started[0].returncode == -signal.SIGTERM
