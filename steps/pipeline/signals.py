"""Ctrl-C and SIGTERM: how a step handles them, and how its run stays KILLED."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Run  # takes a second

INTERRUPTED = 130
"""Exit status after Ctrl-C or SIGTERM."""

SECONDS = 5.0
"""Time within which MLflow stops a step after a Ctrl-C; it takes a quarter of a second."""

STOPS = (signal.SIGINT, signal.SIGTERM)

SECONDS_OUTSIDE = 0.05
"""After which a stop that Python ignored in a finalizer is raised once more."""

_received: list[int] = []


def raise_when_stopped() -> None:
    """Let the first Ctrl-C or SIGTERM from now on raise KeyboardInterrupt.

    Later SIGTERMs are only recorded: MLflow sends one to steps that a terminal's Ctrl-C has
    reached already, and they have to end their runs first.
    """
    for number in STOPS:
        signal.signal(number, _stop)
    sys.unraisablehook = _raise_outside


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Restore the signal handlers after a block that sets its own."""
    before = {number: signal.getsignal(number) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held_back() -> Iterator[None]:
    """Delay a stop until the end of a block that must not be interrupted; a second Ctrl-C is not.

    Outside the main thread it does nothing: Python handles signals in the main thread only.
    """
    with _recorded() as received:
        yield
    raise_again(received)


@contextmanager
def stops_come_after() -> Iterator[None]:
    """Let stops that come within a block come after it, as if they came then, however it ends.

    As :func:`held_back`, but what is only recorded outside the block interrupts nothing after it.
    Such blocks may be nested.
    """
    received: list[int] = []
    try:
        with _recorded() as received:
            yield
    finally:
        if received:
            signal.raise_signal(max(received))  # as in raise_again


@contextmanager
def _recorded() -> Iterator[list[int]]:
    """Record the stops of a block in what it yields, but for a second Ctrl-C."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def hold(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in received:
            raise KeyboardInterrupt
        received.append(number)

    with handlers_kept():
        for number in STOPS:
            signal.signal(number, hold)
        yield received


def raise_again(received: list[int]) -> None:
    """Raise recorded stops again as one: as SIGTERM if there was one, since MLflow waits for it."""
    if received:
        signal.raise_signal(max(received))
        raise KeyboardInterrupt  # if no handler did


def note(number: int, frame: FrameType | None = None) -> None:
    """Record a stop: a handler for code that finds out in another way."""
    _received.append(number)


def keep_status(run: "Run", seconds: float = SECONDS) -> None:
    """Let a stopped step's run keep its status; call it once the run has ended.

    MLflow 3.17 takes a stopped run for an open one (`RunStatus.is_terminated` compares numbers
    with a name) and overwrites its status with FAILED: after a Ctrl-C it sends SIGTERM to the
    step, waits for its end, and writes. A second Ctrl-C while it waits ends MLflow before that.

    Args:
        run: of the step; if `mlflow run` did not start it, nothing overwrites its status.
        seconds: to wait for MLflow's SIGTERM; without a SIGTERM, MLflow stops nothing.
    """
    from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_ENTRY_POINT

    if not _received or MLFLOW_PROJECT_ENTRY_POINT not in run.data.tags:
        return
    parent, until = os.getppid(), time.monotonic() + seconds
    while signal.SIGTERM not in _received and time.monotonic() < until:
        time.sleep(0.02)
    if signal.SIGTERM in _received and os.getppid() == parent:
        with suppress(ProcessLookupError):
            os.kill(parent, signal.SIGINT)


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, note)
    note(number)
    raise KeyboardInterrupt


def _raise_outside(ignored: "sys.UnraisableHookArgs") -> None:
    """Raise a stop once more that came while Python ran a finalizer, which ignores exceptions."""
    if not issubclass(ignored.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(ignored)
        return
    again = threading.Timer(SECONDS_OUTSIDE, os.kill, (os.getpid(), signal.SIGINT))
    again.daemon = True
    again.start()
