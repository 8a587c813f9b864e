"""A real MLflow server tells a real receiver that an alias moved."""

import base64
import hashlib
import hmac
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue
from threading import Thread

import mlflow
import pytest
from cryptography.fernet import Fernet
from mlflow import MlflowClient
from mlflow.entities.webhook import Webhook, WebhookEvent, WebhookTestResult
from mlflow_server import started, wait_until_healthy

from steps.registry import webhooks


@pytest.fixture
def receiver():
    """A receiver on loopback: its address, and what it got."""
    received: Queue = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.put((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", received
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_the_server_announces_that_an_alias_moved(tmp_path, receiver, monkeypatch, capsys):
    url, received = receiver
    allowed = {
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode(),
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",  # a receiver on this machine
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    }
    with started(tmp_path, **allowed) as (address, server, log):
        wait_until_healthy(address, server, log)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv(webhooks.SECRET, "s3cret")
        try:
            for _ in range(2):  # the second time it is there
                webhooks.main([url])
                assert "127.0.0.1 got a first message" in capsys.readouterr().out
                received.get(timeout=20)
            client = MlflowClient(address)
            assert len(client.list_webhooks()) == 1
            client.create_registered_model("porch")
            client.create_model_version("porch", "s3://none/model")
            client.set_registered_model_alias("porch", "champion", "1")
            headers, body = received.get(timeout=20)
        finally:
            mlflow.set_tracking_uri(None)
    message = json.loads(body)
    assert message["data"] == {"name": "porch", "alias": "champion", "version": "1"}
    names = ("X-MLflow-Delivery-Id", "X-MLflow-Timestamp")
    id_, at = ({k.lower(): v for k, v in headers.items()}[name.lower()] for name in names)
    signed = hmac.new(b"s3cret", f"{id_}.{at}.".encode() + body, hashlib.sha256).digest()
    signature = {k.lower(): v for k, v in headers.items()}["x-mlflow-signature"]
    assert signature == "v1," + base64.b64encode(signed).decode()


def test_an_address_that_nobody_answers_at_is_not_printed_with_its_path(store, monkeypatch):
    why = "HTTPSConnectionPool(host='example.org'): Max retries exceeded with url: /hook/t0ken"
    webhook = Webhook("1", "n", "u", [WebhookEvent.from_str(webhooks.EVENTS[0])], 0, 0)
    tried = WebhookTestResult(success=False, error_message=why)
    monkeypatch.setenv(webhooks.SECRET, "s3cret")
    monkeypatch.setattr(webhooks, "announce_moves", lambda *_: webhook)
    monkeypatch.setattr(MlflowClient, "test_webhook", lambda *_: tried)
    with pytest.raises(SystemExit, match="example.org gets messages.*it cannot be reached$") as end:
        webhooks.main(["https://example.org/hook/t0ken"])
    assert "t0ken" not in str(end.value)


def test_a_server_that_is_away_is_said_in_one_line(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # which the tracking store's module sets
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    monkeypatch.setenv(webhooks.SECRET, "s3cret")
    try:
        with pytest.raises(SystemExit, match=r"^webhooks: http://127.0.0.1:9 does not answer"):
            webhooks.main(["https://example.org/hook"])
    finally:
        mlflow.set_tracking_uri(None)


@pytest.mark.parametrize(
    ("secret", "said"), [("", "openssl rand -hex 32"), ("s3cret", "start it with `mlflow server`")]
)
def test_what_is_missing_is_said(store, secret, said, monkeypatch):
    monkeypatch.setenv(webhooks.SECRET, secret)
    with pytest.raises(SystemExit, match=said):
        webhooks.main(["https://example.org/hook"])
