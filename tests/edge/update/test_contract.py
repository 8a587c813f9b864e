"""What the agent needs of a real MLflow server: three routes, one of them the UI's, and READ."""

import importlib.util

import pytest
import requests
from mlflow_server import Registered, started, wait_until_healthy
from signing import NEXT, OURS, signing

from benchmarks.traffic import Counted
from edge.update.current import CurrentModel
from edge.update.errors import RegistryError
from edge.update.registry import Registry
from edge.update.updater import Updater

pytestmark = pytest.mark.slow

ADMIN, PI = ("admin", "admin-secret-1234"), ("pi", "pi-secret-1234")
MOST_OF_A_POLL = 4096


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """A released model and another one on a server with users; one may read the first alone."""
    if importlib.util.find_spec("flask_wtf") is None:
        pytest.skip("NOT PROVEN HERE: flask-wtf is missing; run: make setup")
    home = tmp_path_factory.mktemp("with-users")
    (home / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = NO_PERMISSIONS\n"
        f"database_uri = sqlite:///{home}/auth.db\n"
        f"admin_username = {ADMIN[0]}\nadmin_password = {ADMIN[1]}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    variables = {
        "MLFLOW_AUTH_CONFIG_PATH": str(home / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of the test",
    }
    with started(home, "--app-name", "basic-auth", **variables) as server:
        wait_until_healthy(*server)
        other = Registered(server[0], "another-model", home, ADMIN)
        other.publish()
        model = Registered(server[0], "package-onnx", home, ADMIN)
        model.publish(reference=True, change=signing(OURS, NEXT))
        model.post("users/create", username=PI[0], password=PI[1])
        granted = requests.post(
            f"{model.server}/api/3.0/mlflow/users/permissions/grant",
            json={
                "username": PI[0],
                "resource_type": "registered_model",
                "resource_id": model.name,
                "permission": "READ",
            },
            auth=ADMIN,
            timeout=60,
        )
        assert granted.ok, granted.text
        yield model


@pytest.fixture(autouse=True)
def as_pi(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", PI[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PI[1])


def test_read_on_the_one_model_is_enough(registered, tmp_path):
    updater = Updater(Registry(registered.server), registered.name, "champion", tmp_path)
    done = updater.check()
    assert done.version == "1" and done.downloaded > 0
    assert CurrentModel(tmp_path / registered.name).release == 1
    with pytest.raises(RegistryError, match="does not let this user read another-model"):
        Registry(registered.server).release("another-model", "champion")
    registered.auth, held = PI, registered.auth
    with pytest.raises(AssertionError, match="Permission denied"):
        registered.set_alias("champion", "1")
    registered.auth = held


def test_a_missing_alias_is_a_400_that_is_named(registered):
    with pytest.raises(RegistryError, match="canary.*HTTP 400"):
        Registry(registered.server).release(registered.name, "canary")


def test_a_wrong_password_is_reported(registered, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    with pytest.raises(RegistryError, match="set MLFLOW_TRACKING_USERNAME"):
        Registry(registered.server).release(registered.name, "champion")


def test_an_interrupted_download_is_resumed(registered, tmp_path):
    """The server's route of files answers to a range, where its artifacts are files."""
    registry = Registry(registered.server)
    release = registry.release(registered.name, "champion")
    (file,) = (file for file in release.files if file.path == "artifacts/model.onnx")
    whole, begun = tmp_path / "whole", tmp_path / "begun"
    size = registry.download(release, file, whole)
    begun.write_bytes(whole.read_bytes()[: size // 2])
    came = registry.download(release, file, begun)
    assert came == size - size // 2 and begun.read_bytes() == whole.read_bytes()


def test_a_poll_costs_no_more_than_4_kib(registered, tmp_path):
    """Signed by two keys, as while they change; headers and both directions counted."""
    with Counted(registered.server) as way:
        updater = Updater(Registry(way.address), registered.name, "champion", tmp_path)
        updater.check()
        polls, before = 5, way.bytes
        for _ in range(polls):
            assert updater.check() is None
        a_poll = (way.bytes - before) / polls
    print(f"{a_poll:.0f} bytes a poll")
    assert 500 < a_poll <= MOST_OF_A_POLL
