"""The agent: looks, scores, keeps, sends and updates, until it is stopped.

One thread looks through the camera, and nothing else may hold that up: sending and updating have
a thread each, since a network may take its time. A failure in one of them is theirs alone.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from edge.agent.clock import Clock
from edge.agent.parts import Parts
from edge.agent.settings import Settings
from edge.agent.status import status
from edge.agent.watchdog import Watchdog
from edge.cameras.camera import Camera
from edge.outbox.landing import Landing
from edge.outbox.sender import Sender

logger = logging.getLogger(__name__)

NAP_SECONDS = 1.0
"""The longest sleep: a stop, a demand and the watchdog are not kept waiting."""


class Agent:
    """The parts of a device, at work.

    Args:
        settings: as read from the file.
        clock: the time.
        camera: another one than the settings say.

    Attributes:
        parts: what looks, scores, keeps and updates.
        sender: what sends.
    """

    def __init__(
        self, settings: Settings, clock: Clock | None = None, camera: Camera | None = None
    ):
        self.parts = parts = Parts(settings, clock, camera)
        landing = settings.landing
        self.sender = Sender(
            Landing(landing.url, landing.options, landing.mount),
            parts.queue,
            parts.results,
            settings.device,
            self.status,
            parts.clock.now,
            60 * landing.report_minutes,
            landing.retry_most_seconds,
        )
        self._stop = threading.Event()
        self._wake = threading.Event()

    def status(self) -> dict[str, Any]:
        """What the device says of itself."""
        return status(self.parts, self.sender)

    def run(self, watchdog: Watchdog) -> None:
        """Go on until :meth:`stop`; what is then in the queue is sent after the next start."""
        follower = self.parts.follower
        works = [self.sender.work] + ([follower.work] if follower else [])
        threads = [
            threading.Thread(target=self._repeat, args=(work,), name=work.__qualname__, daemon=True)
            for work in works
        ]
        for thread in threads:
            thread.start()
        watchdog.ready()
        try:
            self._look_again_and_again(watchdog)
        finally:
            self._stop.set()
            self.parts.watcher.close()
            for thread in threads:
                thread.join(NAP_SECONDS)  # one that hangs in a network ends with the process
            watchdog.stop()

    def stop(self) -> None:
        """End :meth:`run` soon."""
        self._stop.set()
        self._wake.set()

    def demand(self) -> None:
        """Keep an image of now."""
        self.parts.selection.demand()
        self._wake.set()

    def _look_again_and_again(self, watchdog: Watchdog) -> None:
        clock, period = self.parts.clock, self.parts.settings.score.period_seconds
        due = clock.uptime()
        while not self._stop.is_set():
            watchdog.beat()
            self.parts.watcher.look()
            due = max(due + period, clock.uptime())
            while not self._stop.is_set():
                watchdog.beat()
                left = due - clock.uptime()
                if left <= 0 or self._wake.wait(min(left, NAP_SECONDS)):
                    break
            self._wake.clear()

    def _repeat(self, work: Callable[[], bool | None]) -> None:
        while not self._stop.is_set():
            try:
                more = work()
            except Exception:  # a fault of ours: said with its trace, and no reason not to look
                logger.exception("%s", work.__qualname__)
                more = False
            if not more:
                self._stop.wait(NAP_SECONDS)
