"""A session that starts in the background, while its step does what needs none."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import TypeVar

from pyspark.sql import SparkSession

Made = TypeVar("Made")


def in_background(call: Callable[[], Made]) -> Future[Made]:
    """Make a call in a thread of its own, and return what it will return."""
    thread = ThreadPoolExecutor(1, "spark")
    made = thread.submit(call)
    thread.shutdown(wait=False)
    return made


class EarlySession:
    """Opens a session when it is first called, or before that in the background.

    Args:
        opened: returns the context manager of the session.

    Example::

        with EarlySession(lambda: spark_session(profile, "ingest")) as spark:
            spark.begin()
            prepare()
            spark().sql("SELECT 1")
    """

    def __init__(self, opened: Callable[[], AbstractContextManager[SparkSession]]):
        self._running = ExitStack()
        self._open = partial(copy_context().run, lambda: self._running.enter_context(opened()))
        self._session: Future[SparkSession] | None = None

    def begin(self) -> None:
        """Start the session, unless it starts or runs already."""
        self._begun()

    def __call__(self) -> SparkSession:
        """Return the session."""
        return self._begun().result()

    def _begun(self) -> Future[SparkSession]:
        if self._session is None:
            self._session = in_background(self._open)
        return self._session

    def __enter__(self) -> "EarlySession":
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._session:
            wait([self._session])  # a JVM that is left while it starts never ends
        # the session reads an error's text while its JVM runs
        return self._running.__exit__(kind, error, trace)
