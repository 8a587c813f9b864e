"""An MLflow server for those who can only speak to one."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import mlflow
import requests

from steps.errors import UserError

logger = logging.getLogger(__name__)

START_SECONDS = 120


@contextmanager
def tracking_server() -> Iterator[str]:
    """The address of a server over the current tracking store.

    A store that is a server already is used as it is. Over any other, such as SQLite, one is
    started on the loopback interface, and stopped at the end.

    Raises:
        UserError: the server does not answer.
    """
    store = mlflow.get_tracking_uri()
    if store.startswith(("http://", "https://")):
        yield store
        return
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    logger.info("serving the registry on %s while the device pulls …", address)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
    ]
    quiet = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    # a session of its own, so that its workers end with it
    server = subprocess.Popen(
        command,
        env=quiet | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(address, server)
        yield address
    finally:
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def _wait_for(address: str, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(requests.RequestException):
            if requests.get(f"{address}/health", timeout=2).ok:
                return
        time.sleep(0.3)
    raise UserError(
        f"no MLflow server came up on {address}; try: mlflow server --port 5000, "
        "and set MLFLOW_TRACKING_URI to it"
    )


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
