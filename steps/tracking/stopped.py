"""Ctrl-C and SIGTERM: how a step hears them, and how its run stays KILLED."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

INTERRUPTED = 130
"""Exit status after Ctrl-C or SIGTERM."""

SECONDS = 5.0
"""Within which MLflow stops a step after a Ctrl-C; it takes a quarter of a second."""

STOPS = (signal.SIGINT, signal.SIGTERM)

_terminated: list[int] = []


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

    def note(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in noted:
            raise KeyboardInterrupt
        noted.append(number)

    with handlers_kept():
        for number in STOPS:
            signal.signal(number, note)
        yield
    raise_again(noted)


def raise_again(noted: list[int]) -> None:
    """Hear stops that were only noted: as one, of several kinds as SIGTERM, which MLflow may have
    sent and waits for the effect of."""
    if noted:
        signal.raise_signal(max(noted))
        raise KeyboardInterrupt  # for who hears none


def stay_killed(seconds: float = SECONDS) -> None:
    """Call it once the run is KILLED, in a step that `mlflow run` started.

    MLflow 3.17 takes a stopped run's status for an open one (`RunStatus.is_terminated` knows
    numbers and is given the name) and writes FAILED over it: it hears the Ctrl-C, sends SIGTERM
    to the step, waits for its end, and writes. A second Ctrl-C while it waits, as from a user who
    presses it twice, ends it before it writes.

    Args:
        seconds: that MLflow's SIGTERM is waited for; without one, MLflow stops nothing.
    """
    parent, until = os.getppid(), time.monotonic() + seconds
    while not _terminated and time.monotonic() < until:
        time.sleep(0.02)
    if _terminated and os.getppid() == parent:
        with suppress(ProcessLookupError):
            os.kill(parent, signal.SIGINT)


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: _terminated.append(number))
    if number == signal.SIGTERM:
        _terminated.append(number)
    raise KeyboardInterrupt
