import http.server
import json
import socket
import threading
from pathlib import Path

import pytest
from file_snapshot import snapshot
from tiny_model import statement

from edge.cli.main import main
from edge.cli.pull import pull
from edge.protocol.release import ReleaseError
from edge.update.errors import RegistryError


@pytest.mark.parametrize(
    ("model", "alias", "message"),
    [("no-such-model", "champion", "no-such-model"), (None, "no-such-alias", "no-such-alias")],
)
def test_a_missing_model_or_alias_is_named(registered, tmp_path, model, alias, message):
    registered.publish()
    with pytest.raises(RegistryError, match=message):
        pull(registered.server, model or registered.name, alias, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_no_server_is_one_line(tmp_path, capsys):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        command = ["pull", "--server", address, "--model", "m", "--into", str(tmp_path)]
        assert main(command) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"edge pull: no MLflow server answers at {address}")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "address",
    [
        *("localhost:5000", "http://", "ftp://localhost", "nonsense", "", " "),
        *("http://mlflow..local:5000", f"http://{'m' * 64}.local", f"http://{'ü' * 64}.local"),
        *("//mlflow", "http://:5000", "http://[::1", "http://mlflow:port", "http://mlflow:99999"),
    ],
)
def test_no_address_is_one_line(tmp_path, capsys, address):
    command = ["pull", "--server", address, "--model", "m", "--into", str(tmp_path)]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "is not a server's address" in said and said.count("\n") == 1


class FaultyServer(http.server.BaseHTTPRequestHandler):
    """Answers as a registry does, but its downloads have the fault that the test asks for."""

    model: Path
    fault: str
    authorization: list

    def do_GET(self):
        self.authorization.append(self.headers["Authorization"])
        if self.fault in ("401", "403", "500"):
            self.send_error(int(self.fault))
        elif self.fault == "no MLflow":
            self._send(b"<html>hello</html>")
        elif "get-artifact" not in self.path:
            tag = {"key": "release", "value": json.dumps(statement(self.model, "m", "1"))}
            version = {"name": "m", "version": "1", "tags": [tag]}
            self._send(json.dumps({"model_version": version}).encode())
        else:
            content = (self.model / self.path.rsplit("%2F", 1)[1]).read_bytes()
            if self.fault == "flip":
                content = content[:-1] + bytes([content[-1] ^ 1])
            self._send(content, cut=self.fault == "cut")

    def _send(self, content: bytes, cut: bool = False):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)

    def log_message(self, *_):
        pass


@pytest.fixture
def faulty(model_folder):
    FaultyServer.model, FaultyServer.authorization = model_folder, []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FaultyServer)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("flip", ReleaseError, "differs from the released file: another SHA-256"),
        ("cut", RegistryError, "broke off"),
        ("401", RegistryError, "MLFLOW_TRACKING_USERNAME"),
        ("403", RegistryError, "MLFLOW_TRACKING_USERNAME"),
        ("500", RegistryError, "HTTP 500"),
        ("no MLflow", RegistryError, "does not answer as an MLflow server"),
    ],
)
def test_a_faulty_transfer_is_refused(faulty, tmp_path, fault, error, message):
    FaultyServer.fault = fault
    with pytest.raises(error, match=message):
        pull(faulty, "m", "champion", tmp_path, unsigned=True)
    assert snapshot(tmp_path) == {}


@pytest.mark.parametrize(
    ("environment", "in_address", "sent"),
    [
        ({"USERNAME": "pi", "PASSWORD": "secret"}, "", "Basic cGk6c2VjcmV0"),
        ({"TOKEN": "abc"}, "", "Bearer abc"),
        ({"USERNAME": "pi", "PASSWORD": "secret", "TOKEN": "abc"}, "", "Basic cGk6c2VjcmV0"),
        ({"USERNAME": "pi", "PASSWORD": "ß"}, "", "Basic cGk6w58="),  # UTF-8
        ({}, "", None),
        ({}, "pi@", None),
        ({}, "pi:s%40cret@", "Basic cGk6c0BjcmV0"),
        ({"TOKEN": "abc"}, "pi:secret@", "Bearer abc"),
    ],
)
def test_the_user_is_taken_from_the_environment_or_the_address(
    faulty, tmp_path, monkeypatch, environment, in_address, sent
):
    for part in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{part}", raising=False)
    for part, value in environment.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{part}", value)
    FaultyServer.fault = "none"
    pull(faulty.replace("//", f"//{in_address}"), "m", "champion", tmp_path, unsigned=True)
    assert set(FaultyServer.authorization) == {sent}
