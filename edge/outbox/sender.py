"""Store and forward: what waits on the device goes to the landing zone as soon as that is there."""

import json
import logging
import random
import sqlite3
from collections.abc import Callable

from edge.agent.clock import Clock
from edge.outbox.landing import Landing
from edge.outbox.queue import Queue
from edge.outbox.results import Results
from edge.protocol.addresses import without_userinfo
from edge.protocol.backoff import backoff_seconds
from edge.protocol.landing_names import status_name

logger = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 5.0


class Sender:
    """Sends images, results and the device's status; whatever fails is tried again later.

    Args:
        landing: where to.
        queue: of images.
        results: of the model.
        device: names the status file.
        status: what that file says.
        clock: the time.
        report_seconds: between two files of results, and of status.
        retry_most_seconds: the longest pause after a failure; the first one is
            :data:`FIRST_RETRY_SECONDS`, and each one up to twice as long as the one before.
        jitter: 0–1, so that a fleet does not come back all at once.

    Attributes:
        failure: why the landing zone cannot be reached; None where it can.
        failing_since: uptime of the first attempt that failed, seconds; None where none did.
        sent_at: when something was sent last, ISO; None before.
    """

    def __init__(
        self,
        landing: Landing,
        queue: Queue,
        results: Results,
        device: str,
        status: Callable[[], dict],
        clock: Clock,
        report_seconds: float,
        retry_most_seconds: float,
        jitter: Callable[[], float] = random.random,
    ):
        self._landing, self._queue, self._results = landing, queue, results
        self._device, self._status, self._clock = device, status, clock
        self._report_seconds, self._retry_most = report_seconds, retry_most_seconds
        self._jitter = jitter
        self._report_due, self._failures, self._not_before = clock.uptime(), 0, 0.0
        self.failure: str | None = None
        self.failing_since: float | None = None
        self.sent_at: str | None = None

    def work(self) -> bool:
        """Send one thing if there is one; returns whether there may be more to send at once.

        Raises:
            Exception: a fault of ours, after which there is a pause as after any failure.
        """
        if self._clock.uptime() < self._not_before:
            return False
        try:
            done = self._send_one()
        except _NotLandedError as error:
            self._failed(_said(error.__cause__))
            return False
        except (OSError, sqlite3.Error) as error:  # the device's own disk, full or failing
            self._failed(f"the store: {_said(error)}")
            return False
        except Exception as error:
            self._failed(_said(error))
            raise
        self.failure, self.failing_since, self._failures = None, None, 0
        return done

    def _send_one(self) -> bool:
        now = self._clock.now()
        if now.known:
            self._queue.date(now)
            self._results.date(now)
        image = self._queue.next()
        if image and (content := self._queue.read(image, now.uptime)) is not None:
            self._queue.sent(image, self._put(image.name, content))
            self.sent_at = self._clock.now().shown.isoformat(timespec="seconds")
            return True
        due = self._clock.uptime() >= self._report_due
        if batch := self._results.next(however_few=due):
            self._put(batch.name, batch.content)
            self._results.sent(batch)
            self.sent_at = now.shown.isoformat(timespec="seconds")
            return True
        if due and now.known:
            self.report()
            self._report_due = self._clock.uptime() + self._report_seconds
        return False

    def report(self) -> None:
        """Put the device's status into the landing zone."""
        content = json.dumps(self._status(), indent=1).encode()
        self._put(status_name(self._device), content, replace=True)

    def _put(self, name: str, content: bytes, replace: bool = False) -> str:
        try:
            return self._landing.put(name, content, replace)
        # a file system of fsspec raises what its library does: there is no common class
        except Exception as error:
            raise _NotLandedError from error

    def _failed(self, said: str) -> None:
        if self.failure != said:
            logger.warning("nothing can be sent: %s", said)
        self.failure = said
        if self.failing_since is None:
            self.failing_since = self._clock.uptime()
        self._failures += 1
        pause = backoff_seconds(self._failures, FIRST_RETRY_SECONDS, self._retry_most)
        self._not_before = self._clock.uptime() + pause * (0.5 + 0.5 * self._jitter())


class _NotLandedError(Exception):
    """The landing zone did not take something; the cause says why."""


def _said(error: BaseException | None) -> str:
    return without_userinfo(" ".join(str(error).split())) or type(error).__name__
