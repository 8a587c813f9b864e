"""Ctrl-C and SIGTERM: how a step hears them, and how its run stays KILLED."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_ENTRY_POINT

INTERRUPTED = 130
"""Exit status after Ctrl-C or SIGTERM."""

SECONDS = 5.0
"""Within which MLflow stops a step after a Ctrl-C; it takes a quarter of a second."""

STOPS = (signal.SIGINT, signal.SIGTERM)

_heard: list[int] = []


def raise_when_stopped() -> None:
    """From now on the first Ctrl-C or SIGTERM raises KeyboardInterrupt.

    After it, SIGTERM is only noted: MLflow sends one to the steps that a terminal's Ctrl-C has
    reached already, and their runs have to be ended first.
    """
    for number in STOPS:
        signal.signal(number, _stop)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Around what hears stops in its own way: whoever heard them before does so again after it."""
    before = {number: signal.getsignal(number) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held_back() -> Iterator[None]:
    """Around what a stop may not break in the middle: it is heard at the end, a second Ctrl-C at
    once.

    Outside of the main thread, where Python hears no signals, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    noted: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in noted:
            raise KeyboardInterrupt
        noted.append(number)

    with handlers_kept():
        for number in STOPS:
            signal.signal(number, hold)
        yield
    raise_again(noted)


def raise_again(noted: list[int]) -> None:
    """Hear stops that were only noted: as one, of several kinds as SIGTERM, which MLflow may have
    sent and waits for the effect of."""
    if noted:
        signal.raise_signal(max(noted))
        raise KeyboardInterrupt  # for who hears none


def note(number: int, frame: FrameType | None = None) -> None:
    """A handler that only notes a stop, where it is heard in another way."""
    _heard.append(number)


def keep_status(run: Run, seconds: float = SECONDS) -> None:
    """Call it once the run of a step has ended: it keeps its status, had the step been stopped.

    MLflow 3.17 takes a stopped run's status for an open one (`RunStatus.is_terminated` knows
    numbers and is given the name) and writes FAILED over it: it hears the Ctrl-C, sends SIGTERM
    to the step, waits for its end, and writes. A second Ctrl-C while it waits, as from a user who
    presses it twice, ends it before it writes.

    Args:
        run: where `mlflow run` did not start it, nobody else writes its status.
        seconds: that MLflow's SIGTERM is waited for; without one, MLflow stops nothing.
    """
    if not _heard or MLFLOW_PROJECT_ENTRY_POINT not in run.data.tags:
        return
    parent, until = os.getppid(), time.monotonic() + seconds
    while signal.SIGTERM not in _heard and time.monotonic() < until:
        time.sleep(0.02)
    if signal.SIGTERM in _heard and os.getppid() == parent:
        with suppress(ProcessLookupError):
            os.kill(parent, signal.SIGINT)


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, note)
    note(number)
    raise KeyboardInterrupt
