"""A store that does not answer is told in one line, and nothing else is told so."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mlflow
import pytest
import requests
from bakery import STEP
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from steps.errors import UserError
from steps.pipeline.outages import describe_outage, fail_fast


@contextmanager
def server(answer) -> Iterator[str]:
    """The address of a server that does as a function of its handler does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self)

        do_POST = do_GET  # noqa: N815 – the name that the server looks for

        def log_message(self, *_):
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{served.server_port}"
    finally:
        served.shutdown()
        served.server_close()


@contextmanager
def nobody() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{free.getsockname()[1]}"  # it is bound, and does not listen


def with_status(status: int, body: bytes = b""):
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return server(answer)


def hanging_up():
    return server(lambda handler: handler.connection.shutdown(socket.SHUT_RDWR))


def silent():
    return server(lambda handler: threading.Event().wait(3))


@pytest.fixture
def hasty(monkeypatch):
    """Let MLflow's client ask once and for a second."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (nobody, "Connection refused"),
        (lambda: with_status(500), "too many 500 error responses"),
        (lambda: with_status(503), "too many 503 error responses"),
        (hanging_up, "Remote end closed connection without response"),
        (silent, "Read timed out"),
    ],
)
def test_what_does_not_answer_is_named_with_the_reason(hasty, place, why):
    with place() as address, pytest.raises(MlflowException) as caught:
        MlflowClient(address).get_run("0" * 32)
    said = describe_outage(caught.value)
    assert said.startswith(f"{address} does not answer (") and said.endswith(f"{why})")


def test_a_password_is_not_told(hasty):
    with nobody() as address, pytest.raises(MlflowException) as caught:
        MlflowClient(address.replace("//", "//me:secret@")).get_run("0" * 32)
    assert describe_outage(caught.value).startswith(f"{address} does not answer")


def test_it_is_found_behind_other_errors(hasty):
    def read(address: str) -> None:
        try:
            requests.get(f"{address}/health", timeout=1)
        except requests.RequestException as error:
            raise ValueError("no usable outputs.json") from error

    with nobody() as address, pytest.raises(ValueError, match="no usable") as caught:
        read(address)
    assert describe_outage(caught.value).startswith(f"{address} does not answer")


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}'), (400, b"{}")],
)
def test_a_server_that_answers_is_there(hasty, status, body):
    with with_status(status, body) as address, pytest.raises(MlflowException) as caught:
        MlflowClient(address).get_run("0" * 32)
    assert describe_outage(caught.value) is None


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), MlflowException("no such alias")])
def test_any_other_error_is_none(error):
    assert describe_outage(error) is None


def test_last_words_take_no_patience(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "33")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    with nobody() as address, fail_fast(), pytest.raises(MlflowException):
        MlflowClient(address).get_run("0" * 32)  # by default it would ask for minutes
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "33"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_a_step_ends_in_one_line_with_the_command_that_goes_on(store, hasty, monkeypatch, debug):
    with nobody() as address:
        mlflow.set_tracking_uri(address)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        with pytest.raises(UserError if debug else SystemExit) as ended:
            STEP.main(["--minutes", "45", *debug])
    said = str(ended.value).removeprefix("bake: ")
    assert said.startswith(f"{address} does not answer (") and "\n" not in said
    assert "once that is fixed, resume with: mlflow run . --env-manager local -e bake" in said
    assert said.endswith("-P minutes=45")
