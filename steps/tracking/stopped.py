"""Ctrl-C and SIGTERM: how a step hears them, and how its run stays KILLED."""

import os
import signal
import time
from contextlib import suppress
from types import FrameType

INTERRUPTED = 130
"""Exit status after Ctrl-C or SIGTERM."""

SECONDS = 5.0
"""Within which MLflow stops a step after a Ctrl-C; it takes a quarter of a second."""

_terminated: list[int] = []


def raise_when_stopped() -> None:
    """From now on the first Ctrl-C or SIGTERM raises KeyboardInterrupt.

    After it, SIGTERM is only noted: MLflow sends one to the steps that a terminal's Ctrl-C has
    reached already, and their runs have to be ended first.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)


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
