"""Store and forward: sends what waits on the device as soon as the landing zone is reachable."""

import json
import logging
import random
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from edge.inference.errors import describe_error
from edge.outbox.bounded_call import BoundedCall
from edge.outbox.erasures import Erasures
from edge.outbox.landing import Landing
from edge.outbox.moment import Moment
from edge.outbox.queue import Queue
from edge.outbox.results import Results
from edge.protocol.addresses import without_userinfo
from edge.protocol.backoff import backoff_seconds
from edge.protocol.erased import ERASED
from edge.protocol.landing_names import status_name

logger = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 5.0

PUT_SECONDS, SLOWEST, MAX_PUT_SECONDS = 60.0, 2000, 3600.0
"""For a file to be sent: seconds, and one more for each that many bytes."""


@dataclass
class Sender:
    """Sends images, results and the device's status, and retries what fails.

    Attributes:
        landing: the landing zone.
        queue: of images.
        results: of the model.
        erasures: what must not be sent.
        device: names the status file.
        status: returns the content of that file.
        now: the clock.
        report_seconds: between two files of results, and of status.
        max_retry_seconds: the longest pause after a failure; the first one is
            :data:`FIRST_RETRY_SECONDS`.
        failure: why the landing zone cannot be reached; None if it can.
        failing_since: uptime of the first attempt that failed, seconds; None if none did.
        sent_at: when something was sent last, ISO; None before.
    """

    landing: Landing
    queue: Queue
    results: Results
    erasures: Erasures
    device: str
    status: Callable[[], dict[str, Any]]
    now: Callable[[], Moment]
    report_seconds: float
    max_retry_seconds: float
    failure: str | None = field(default=None, init=False)
    failing_since: float | None = field(default=None, init=False)
    sent_at: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._report_due, self._failures, self._not_before = self.now().uptime, 0, 0.0
        self._bounded, self._erased_due = BoundedCall(), self._report_due

    def work(self) -> bool:
        """Send at most one file; return whether more may be ready to be sent.

        Raises:
            Exception: a bug of the agent; the next attempt waits as after any failure.
        """
        now = self.now()
        if now.uptime < self._not_before:
            return False
        try:
            sent = self._send_one(now)
        except _NotLandedError as error:
            self._handle_failure(str(error))
            return False
        except (OSError, sqlite3.Error) as error:  # the device's own disk, full or failing
            self._handle_failure(f"the store: {describe_error(error)}")
            with suppress(_NotLandedError, OSError, sqlite3.Error):
                self._report(now)  # which says so
            return False
        except Exception as error:
            self._handle_failure(describe_error(error))
            raise
        self.failure, self.failing_since, self._failures = None, None, 0
        return sent

    def _send_one(self, now: Moment) -> bool:
        if now.is_synced:
            self.queue.date(now)
            self.results.date(now)
        self._read_erased(now)
        image = self.queue.next()
        if image and self.erasures.covers(image.name, image.sha256):
            self.erasures.drop([image.id])
            return True
        if image and (content := self.queue.read(image, now.uptime)) is not None:
            self.queue.mark_sent(image, self._put(image.name, content))
            return True
        if batch := self.results.next(allow_partial=now.uptime >= self._report_due):
            self._put(batch.name, batch.content)
            self.results.mark_sent(batch)
            return True
        self._report(now)
        return False

    def _read_erased(self, now: Moment) -> None:
        """Read the list of what was erased if it is due: before the first image is sent."""
        if now.uptime >= self._erased_due:
            self.erasures.update(self._call(partial(self.landing.read, ERASED), PUT_SECONDS))
            self._erased_due = self.now().uptime + self.report_seconds

    def _report(self, now: Moment) -> None:
        """Send the status if it is due."""
        if now.is_synced and now.uptime >= self._report_due:
            content = json.dumps(self.status(), indent=1).encode()
            self._put(status_name(self.device), content, replace=True)
            self._report_due = self.now().uptime + self.report_seconds

    def _put(self, name: str, content: bytes, replace: bool = False) -> str:
        seconds = min(PUT_SECONDS + len(content) / SLOWEST, MAX_PUT_SECONDS)
        put = partial(self.landing.put, name, content, replace)
        landed_as: str = self._call(put, seconds)
        if not replace:  # a status is not what waits to be sent
            self.sent_at = self.now().wall_time.isoformat(timespec="seconds")
        return landed_as

    def _call(self, call: Callable[[], Any], seconds: float) -> Any:
        try:
            return self._bounded.run(call, seconds)
        # a file system of fsspec raises what its library raises: there is no common class
        except Exception as error:
            raise _NotLandedError(describe_error(error)) from error

    def _handle_failure(self, failure: str) -> None:
        failure = without_userinfo(failure, self.landing.url)
        if self.failure != failure:
            logger.warning("nothing can be sent: %s", failure)
        uptime = self.now().uptime
        if not self._failures:
            self.failing_since = uptime
        self.failure, self._failures = failure, self._failures + 1
        pause = backoff_seconds(self._failures, FIRST_RETRY_SECONDS, self.max_retry_seconds)
        # drawn, so that a fleet does not retry all at once
        self._not_before = uptime + pause * random.uniform(0.5, 1)  # noqa: S311


class _NotLandedError(Exception):
    """The landing zone did not take a file."""
