"""Follows the registry: polls, and remembers why a poll brought nothing."""

import logging

from edge.agent.clock import Clock
from edge.inference.errors import UserError
from edge.protocol.addresses import without_userinfo
from edge.update.polling import PollTimes
from edge.update.updater import Updater

logger = logging.getLogger(__name__)


class Follower:
    """Polls for a new release.

    Args:
        updater: checks, fetches, tries and switches.
        times: when to poll.
        clock: the time.

    Attributes:
        failure: why the last poll brought nothing; None where all is well.
    """

    def __init__(self, updater: Updater, times: PollTimes, clock: Clock):
        self._updater, self._times, self._clock = updater, times, clock
        self._failures = 0
        # a device without a model asks at once
        first = times.first() if updater.in_use else 0.0
        self._due = clock.uptime() + first
        self.failure: str | None = None

    def work(self) -> None:
        """Poll if it is time.

        Raises:
            Exception: a fault of ours; it is this poll's failure as any other, and comes again no
                sooner than the next poll.
        """
        if self._clock.uptime() < self._due:
            return
        try:
            if pulled := self._updater.check():
                logger.info("version %s is in use, on probation", pulled.version)
            self.failure, self._failures = self._updater.refused, 0
        except (UserError, OSError) as error:
            said = " ".join(str(error).split())
            if said != self.failure:
                logger.warning("model: %s", said)
            self.failure, self._failures = said, self._failures + 1
        except Exception as error:
            said = without_userinfo(" ".join(repr(error).split()))
            self.failure, self._failures = said, self._failures + 1
            raise
        finally:
            self._due = self._clock.uptime() + self._times.next(self._failures)
