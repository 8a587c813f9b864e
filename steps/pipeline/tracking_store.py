"""Which MLflow store the runs go to, and how it is asked."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from steps.pipeline.copied_store import follow_copied_store
from steps.pipeline.signals import stops_come_after
from steps.settings.profile import Profile

WAIT_FOR_LOCKS = "PRAGMA busy_timeout = 120000"


def use_tracking_store(profile: Profile) -> str:
    """Point MLflow at the profile's store, for this process and those it starts.

    Without a ``tracking_uri``, ``MLFLOW_TRACKING_URI`` decides, or else MLflow's default. If
    ``mlflow run`` opened its run in another store than the profile's, the step opens its own run
    in the profile's store.

    Returns:
        The store's URI, absolute so that workers in other folders find it.
    """
    wanted = absolute_store_uri(profile.tracking_uri or "")
    if wanted and wanted != absolute_store_uri(os.environ.get("MLFLOW_TRACKING_URI", "")):
        mlflow.set_tracking_uri(wanted)
        for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
            os.environ.pop(variable, None)
    uri = absolute_store_uri(mlflow.get_tracking_uri())
    mlflow.set_tracking_uri(uri)
    os.environ["MLFLOW_TRACKING_URI"] = uri
    wait_for_locks()
    finish_transactions(uri)
    follow_copied_store(uri)
    return uri


def wait_for_locks() -> None:
    """Let this process wait two minutes for a locked SQLite store; MLflow (3.17) waits for 20 s.

    Several runs write to one file, and a copy of it may be made meanwhile.
    """
    from sqlalchemy import Engine, event

    if not event.contains(Engine, "connect", _wait_on_connect):
        event.listen(Engine, "connect", _wait_on_connect)
        event.listen(Engine, "before_cursor_execute", _wait_for_sqlite, retval=True)


def finish_transactions(uri: str) -> None:
    """Let no stop interrupt MLflow (3.17) within a transaction of a SQLite store.

    It would stay open, and lock the store for this process too, which has to end its run there.
    """
    if not uri.startswith("sqlite"):
        return
    from mlflow.store.db import utils

    make = utils._get_managed_session_maker
    if hasattr(make, "__wrapped__"):
        return

    @wraps(make)
    def make_uninterrupted(*arguments: Any) -> Callable[..., Any]:
        open_session = make(*arguments)

        @contextmanager
        def session(*given: Any, **named: Any) -> Iterator[Any]:
            with stops_come_after(), open_session(*given, **named) as opened:
                yield opened

        return session

    utils._get_managed_session_maker = make_uninterrupted


def open_client(uri: str) -> MlflowClient:
    """Return a client of a step's store for a process that the step started."""
    wait_for_locks()
    return MlflowClient(uri)


def _wait_on_connect(connection: Any, _: Any) -> None:
    if type(connection).__module__.startswith("sqlite3"):
        connection.execute(WAIT_FOR_LOCKS)


def _wait_for_sqlite(
    _0: Any, _1: Any, statement: str, values: Any, _2: Any, _3: Any
) -> tuple[str, Any]:
    return WAIT_FOR_LOCKS if statement.startswith("PRAGMA busy_timeout") else statement, values


def absolute_store_uri(uri: str) -> str:
    """Return a SQLite URI with an absolute path; any other URI as it is.

    >>> absolute_store_uri("http://127.0.0.1:5000")
    'http://127.0.0.1:5000'
    """
    scheme = "sqlite:///"
    if not uri.startswith(scheme):
        return uri
    return scheme + os.path.abspath(uri.removeprefix(scheme))


def ask_store(ask: Callable[..., Any], *arguments: str, missing: tuple[str, ...] = ()) -> Any:
    """Ask the tracking store; return None if the thing asked for does not exist.

    Args:
        ask: a method of ``MlflowClient``.
        arguments: of the method.
        missing: error codes that also mean that the thing does not exist.
    """
    try:
        return ask(*arguments)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", *missing):
            return None
        raise
