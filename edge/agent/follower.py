"""Polls the registry for a newer release, and remembers why a poll failed."""

import logging

from edge.agent.clock import Clock
from edge.inference.errors import UserError, describe_error
from edge.outbox.erasures import Erasures
from edge.protocol.addresses import without_userinfo
from edge.protocol.release import ReleaseError
from edge.protocol.signature import SignatureError
from edge.update.polling import PollTimes
from edge.update.updater import Updater

logger = logging.getLogger(__name__)


class Follower:
    """Polls for a new release.

    Args:
        updater: checks, fetches, self-tests and switches.
        times: when to poll.
        clock: the time.
        erasures: what must not stay on this device.

    Attributes:
        failure: why the last poll brought no release that it should; None if all is well.
        reached_at: when the registry answered last, ISO; None before.
    """

    def __init__(self, updater: Updater, times: PollTimes, clock: Clock, erasures: Erasures):
        self._updater, self._times, self._clock = updater, times, clock
        self._erasures = erasures
        self._failures = 0
        # a device without a model polls at once
        first = times.first() if updater.active else 0.0
        self._due = clock.uptime() + first
        self.failure: str | None = None
        self.reached_at: str | None = None

    def work(self) -> bool:
        """Poll if it is time; return False, since the next poll is never due at once.

        Raises:
            Exception: a bug of the agent. It counts as a failed poll, so the next attempt waits.
        """
        if self._clock.uptime() < self._due:
            return False
        try:
            self._updater.home.discard_with(self._erasures.erased.files)
            if pulled := self._updater.check():
                logger.info("release %d is in use, on probation", pulled.release)
            self._note_answer()
            self.failure, self._failures = self._updater.refusal, 0
        except (UserError, OSError) as error:
            if isinstance(error, ReleaseError | SignatureError):  # it answered, with a bad release
                self._note_answer()
            failure = describe_error(error)
            if failure != self.failure:
                logger.warning("model: %s", failure)
            self.failure, self._failures = failure, self._failures + 1
        except Exception as error:
            self.failure = without_userinfo(" ".join(repr(error).split()))
            self._failures += 1
            raise
        finally:
            self._due = self._clock.uptime() + self._times.next(
                self._failures, has_model=self._updater.active is not None
            )
        return False

    def _note_answer(self) -> None:
        self.reached_at = self._clock.now().wall_time.isoformat(timespec="seconds")
