"""What all tests share: they hear Ctrl-C, and MLflow's SQLite stores are made once, not synced."""

import fcntl
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

if find_spec("sqlalchemy"):  # the device's environment has no MLflow
    from sqlalchemy import Engine, event

    @event.listens_for(Engine, "connect")
    def _do_not_sync(connection: Any, _: Any) -> None:
        """A test's store need not survive a power cut; MLflow commits some twenty times a run."""
        if type(connection).__module__.startswith("sqlite3"):
            connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(autouse=True)
def _hears_ctrl_c():
    """Each test hears Ctrl-C, and so does what it starts, in a shell's background too.

    Horovod leaves handlers of its own, too, which hear nothing after its end.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="module")
def _mlflow_forgets_the_store():
    """A module's tests do not find the store that others have set, in whatever order they run."""
    yield
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    """A SQLite store as MLflow makes it, to be copied: making its tables takes seconds."""
    from mlflow import MlflowClient  # takes seconds, which tests of the device need not wait for

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    home, before = shared / "empty_store", os.getcwd()
    with (shared / "empty_store.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            home.mkdir()
            os.chdir(home)
            try:
                MlflowClient(f"sqlite:///{home}/mlflow.db").search_experiments()
            finally:
                os.chdir(before)
    return home / "mlflow.db"
