"""A cause starts what it should once, whatever runs of the monitor follow."""

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import ExecutionException

from edge.protocol.webhook_signature import sign
from steps.errors import UserError
from steps.monitoring import acting
from steps.monitoring.acting import Retraining, act, find_causes, webhook_secret
from steps.monitoring.compared import Version

NOW = datetime(2026, 8, 1, tzinfo=UTC)
HOURS = timedelta(hours=1)
VERSION = Version("porch", "3", "file:/zone", NOW - timedelta(days=15), "run")
KEY = b"k" * 32


@pytest.mark.parametrize(
    ("alarms", "labelled", "retraining", "causes"),
    [
        ([], 90, Retraining(0, 0), []),
        (["a/moved/1"], 0, Retraining(0, 0), ["3/a/moved/1"]),
        ([], 99, Retraining(100, 0), []),
        ([], 250, Retraining(100, 0), ["3/labels/2"]),
        ([], 0, Retraining(0, 20), []),
        ([], 0, Retraining(0, 7), ["3/schedule/2"]),
    ],
)
def test_causes(alarms, labelled, retraining, causes):
    assert find_causes(VERSION, alarms, labelled, NOW, retraining) == causes


@pytest.fixture
def started(store, monkeypatch) -> list[dict[str, str]]:
    """What was started in place of the pipeline, whose run takes minutes."""
    calls: list[dict[str, str]] = []

    def run_apart(entry_point, parameters):
        calls.append(parameters)
        if parameters.get("fails"):
            raise ExecutionException("it failed")
        return MlflowClient().create_run("0", tags={"result": "released"}).info.run_id

    monkeypatch.setattr(acting, "run_apart", run_apart)
    return calls


def monitor(causes, on_breach="run", at=NOW, cooldown=24 * HOURS, **pipeline) -> str:
    """Act in a run of its own, as each run of the monitor does."""
    with mlflow.start_run():
        mlflow.set_tags({"step": "monitor", "model": "porch"})
        return act(on_breach, causes, cooldown, at, {"model": "porch"}, pipeline)


def test_a_cause_starts_the_pipeline_once(started):
    assert re.fullmatch(r"pipeline run \w{32}: released \(3/a/moved/1\)", monitor(["3/a/moved/1"]))
    assert monitor(["3/a/moved/1"], at=NOW + 99 * HOURS) == ""
    assert len(started) == 1


def test_so_many_causes_that_no_tag_holds_them_start_the_pipeline_once(started):
    causes = [f"3/{'porch' * 12}{number}/silent/2026-07-01T00:00+00:00" for number in range(150)]
    assert "pipeline run" in monitor(causes)
    assert monitor(causes, at=NOW + 99 * HOURS) == "" and len(started) == 1


def test_another_cause_waits_until_the_cool_down_is_over(started):
    monitor(["3/a/moved/1"])
    assert "cool-down" in monitor(["3/b/moved/1"], at=NOW + 23 * HOURS)
    assert "3/b/moved/1" in monitor(["3/a/moved/1", "3/b/moved/1"], at=NOW + 24 * HOURS)
    assert len(started) == 2


def test_a_pipeline_that_fails_is_not_started_again(started):
    assert "failed" in monitor(["3/a/moved/1"], fails="yes")
    assert monitor(["3/a/moved/1"], at=NOW + 99 * HOURS) == ""


def test_without_a_cause_and_by_default_nothing_starts(started):
    assert monitor([]) == monitor(["3/a/moved/1"], on_breach="none") == ""
    assert not started


@pytest.fixture
def receiver(monkeypatch):
    """A receiver on loopback that refuses so many requests first."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.received.append((dict(self.headers), body))
            server.refuses -= 1
            self.send_response(503 if server.refuses >= 0 else 204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.received, server.refuses = [], 0
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv(acting.URL, f"http://127.0.0.1:{server.server_port}/hook?token=secret")
    monkeypatch.setenv(acting.SECRET, "whsec_" + base64.b64encode(KEY).decode())
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_is_signed_and_sent_again_until_it_is_accepted(started, receiver):
    receiver.refuses = 1
    assert "webhook sent" in monitor(["3/a/moved/1"], on_breach="webhook")
    (first, body), (second, same) = receiver.received
    assert body == same and first["webhook-id"] == second["webhook-id"]
    signature = sign(KEY, second["webhook-id"], second["webhook-timestamp"], body)
    assert second["webhook-signature"] == signature
    assert json.loads(body) == {"model": "porch", "causes": ["3/a/moved/1"]}
    assert monitor(["3/a/moved/1"], on_breach="webhook") == "" and len(receiver.received) == 2


def test_a_webhook_that_nobody_accepts_is_sent_by_the_next_run(started, receiver):
    receiver.refuses = acting.ATTEMPTS
    with pytest.raises(UserError, match=r"did not accept the message \(status 503\)$") as caught:
        monitor(["3/a/moved/1"], on_breach="webhook")
    assert "secret" not in str(caught.value)
    assert "webhook sent" in monitor(["3/a/moved/1"], on_breach="webhook")


@pytest.mark.parametrize("secret", ["", "not base64!", "c2hvcnQ="])
def test_a_webhook_needs_an_address_and_a_secret(secret, monkeypatch):
    monkeypatch.setenv(acting.URL, "http://127.0.0.1:1")
    monkeypatch.setenv(acting.SECRET, secret)
    with pytest.raises(UserError, match="openssl rand"):
        webhook_secret()
