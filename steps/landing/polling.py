"""When a landing zone is polled, once, once a period, or continuously, and what each poll lists."""

import logging
import re
import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from types import FrameType

from steps.errors import RunAgain, UserError
from steps.lake.lease import Lease, WatchedClaim, lease
from steps.landing.listing import Landing, list_landing_zone
from steps.pipeline.signals import STOPS, handlers_kept, note

AVAILABLE_NOW = "available_now"
CONTINUOUS = "continuous"
CONTINUOUS_SECONDS = 1.0
WAIT_SECONDS = 600
"""How long a single poll waits for that of another run."""
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


@contextmanager
def leased_polls(period: float | None, home: str, run_id: str) -> Iterator[Iterator[Lease]]:
    """Yield the lease of a folder for the length of each poll, so that other runs get their turn.

    A single poll waits for another run that holds it. One of several is left out instead.

    Args:
        period: seconds between two polls; None for a single poll.
        home: the folder or its URI.
        run_id: the run that polls.

    Raises:
        UserError: another run has held the lease all the time.
    """

    def leases(numbers: Iterator[int]) -> Generator[Lease]:
        turns, said, watched = 0, "", WatchedClaim()
        for _ in numbers:
            try:
                with lease(home, run_id, 0 if period else WAIT_SECONDS, watched) as held:
                    turns += 1
                    yield held
            except UserError as error:
                if not period:
                    raise
                if said != str(error):
                    logger.warning("%s; the next poll tries again", error)
                said = str(error)
        if not turns:
            raise UserError(said, RunAgain())

    with polls(period) as numbers, closing(leases(numbers)) as held:
        yield held


def list_at_each_poll(source: str, leases: Iterator[Lease]) -> Iterator[tuple[int, Lease, Landing]]:
    """Yield each poll's number, lease and landing zone; say what is left out when that changes.

    If a later poll cannot list it, as while a share is away, the next one tries again.
    """
    said: list[str] = []
    for number, held in enumerate(leases):
        try:
            zone = list_landing_zone(source, may_be_empty=True)
            sentences = zone.left_out.sentences()
        except (UserError, OSError) as error:
            if number == 0:
                raise
            zone, sentences = None, [f"{error}; the next poll tries again"]
        for sentence in sentences:
            if sentence not in said:
                logger.warning("%s", sentence)
        said = sentences
        if zone:
            yield number, held, zone
