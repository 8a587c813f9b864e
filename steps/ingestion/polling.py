"""When a landing zone is polled: once, once a period, or continuously."""

import logging
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from steps.errors import UserError
from steps.pipeline.signals import STOPS, handlers_kept, note

AVAILABLE_NOW = "available_now"
CONTINUOUS = "continuous"
CONTINUOUS_SECONDS = 1.0
UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


logger = logging.getLogger("steps")


def parse_trigger(trigger: str) -> float | None:
    """Return the seconds between two polls; None for a single poll.

    >>> parse_trigger("10 minutes")
    600.0

    Raises:
        UserError: it is not a valid trigger.
    """
    if trigger == AVAILABLE_NOW:
        return None
    if trigger == CONTINUOUS:
        return CONTINUOUS_SECONDS
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(second|minute|hour|day)s?", trigger.strip())
    if match is None or float(match[1]) <= 0:
        raise UserError(
            f"{trigger!r} is not a valid trigger; pass -P trigger=available_now, continuous, or a "
            "period such as '10 minutes'"
        )
    return float(match[1]) * UNITS[match[2]]


@contextmanager
def polls(period: float | None) -> Iterator[Iterator[int]]:
    """Yield the numbers of the polls, each when it is due.

    SIGINT and SIGTERM end them after the current poll, so that it completes. The earlier handlers
    are restored, but a SIGTERM that follows is only recorded.
    """
    stop = threading.Event()

    def numbers() -> Iterator[int]:
        yield 0
        number = 0
        while period is not None and not stop.wait(period):
            number += 1
            yield number

    if period is None:
        yield numbers()
        return

    def stop_soon(number: int, frame: FrameType | None) -> None:
        logger.info("stopping after this poll …")
        note(number)
        stop.set()

    with handlers_kept():
        for number in STOPS:
            signal.signal(number, stop_soon)
        yield numbers()
    if stop.is_set():
        signal.signal(signal.SIGTERM, note)  # MLflow sends it after a Ctrl-C
