"""An MLflow server over the local tracking store, for clients that need one."""

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
    """Serve the current tracking store for the length of a block; yield the server's address.

    A store that is a server already is used as it is. For any other, such as SQLite, a server is
    started on the loopback interface, and stopped at the end.

    Raises:
        UserError: the server does not start.
    """
    store = mlflow.get_tracking_uri()
    if store.startswith(("http://", "https://")):
        yield store
        return
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    logger.info("serving the registry on %s …", address)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    # in a session of its own, so that its workers can be stopped with it
    server = subprocess.Popen(
        command,
        env=environment
        | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for_server(address, server)
        yield address
    finally:
        with suppress(ProcessLookupError):  # it may have stopped by itself
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def _wait_for_server(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(requests.RequestException):
            if requests.get(f"{address}/health", timeout=2).ok:
                return
        time.sleep(0.3)
    raise UserError(
        f"the MLflow server on {address} did not start; run: mlflow server --port 5000, "
        "and set MLFLOW_TRACKING_URI=http://127.0.0.1:5000"
    )


def free_port() -> int:
    """Return a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
