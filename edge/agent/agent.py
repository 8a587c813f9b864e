"""The agent: takes frames, scores, keeps, sends and updates until it is stopped.

The main thread takes frames, and nothing else may delay it. Sending and updating have a thread
each, since a network may be slow; a failure in one thread does not affect the others.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from edge.agent.clock import Clock
from edge.agent.parts import Parts
from edge.agent.settings import Settings
from edge.agent.status import health_issues, seconds_since_round, status
from edge.agent.watchdog import Watchdog
from edge.cameras.camera import Camera, FrameImage
from edge.outbox.landing import Landing
from edge.outbox.sender import Sender
from edge.preview.source import RecentImage

logger = logging.getLogger(__name__)

MAX_SLEEP_SECONDS = 1.0
"""A stop, a manual trigger and the watchdog wait no longer than this."""

HISTORY_SECONDS = 86_400


class Agent:
    """All parts of a device at work; what the page shows comes from its methods.

    Args:
        settings: from the TOML file.
        clock: in place of the machine's.
        camera: in place of the one in the settings.

    Attributes:
        parts: what takes frames, scores, keeps and updates.
        sender: what sends.
    """

    def __init__(
        self, settings: Settings, clock: Clock | None = None, camera: Camera | None = None
    ):
        self.parts = parts = Parts(settings, self.status, clock, camera)
        landing = settings.landing
        self.sender = Sender(
            Landing(landing.url, landing.options, landing.mount),
            parts.queue,
            parts.results,
            parts.erasures,
            settings.device,
            self.status,
            parts.clock.now,
            60 * landing.report_minutes,
            landing.max_retry_seconds,
        )
        self._stop = threading.Event()
        self._wake = threading.Event()

    def status(self) -> dict[str, Any]:
        """Return the device's status."""
        return status(self.parts, self.sender)

    def health_issues(self) -> list[str]:
        """Return what keeps the device from its work; nothing if it is healthy."""
        return health_issues(self.parts, self.sender)

    def seconds_since_round(self) -> dict[str, float]:
        """Return how long ago each thread finished a round."""
        return seconds_since_round(self.parts)

    def score_history(self) -> list[dict[str, Any]]:
        """Return points of the curve of the last day's scores, oldest first."""
        rows = HISTORY_SECONDS / self.parts.settings.score.period_seconds
        return self.parts.results.history(max(round(rows), 1))

    def recent_images(self) -> list[RecentImage]:
        """Return the images that were kept last since the start, oldest first."""
        return list(self.parts.watcher.state.recent)

    def last_frame(self) -> FrameImage | None:
        """Return the last frame: a file's bytes or pixels; None before the first."""
        return self.parts.watcher.state.image

    def trigger(self) -> None:
        """Keep the next frame, and take it at once."""
        self.parts.selection.trigger()
        self._wake.set()

    def run(self, watchdog: Watchdog) -> None:
        """Run until :meth:`stop`; images in the queue are sent after the next start."""
        follower = self.parts.follower
        works = [self.sender.work] + ([follower.work] if follower else [])
        threads = [
            threading.Thread(target=self._repeat, args=(work,), name=work.__qualname__, daemon=True)
            for work in works
        ]
        for work, thread in zip(works, threads, strict=True):
            self.parts.rounds[_name(work)] = self.parts.clock.uptime()
            thread.start()
        self.parts.actions.start()
        watchdog.ready()
        try:
            self._take_frames(watchdog)
        finally:
            self._stop.set()
            self.parts.watcher.close()
            self.parts.actions.stop()
            for thread in threads:
                thread.join(MAX_SLEEP_SECONDS)  # one that hangs in a network ends with the process
            watchdog.stop()

    def stop(self) -> None:
        """End :meth:`run` soon."""
        self._stop.set()
        self._wake.set()

    def _take_frames(self, watchdog: Watchdog) -> None:
        clock, period = self.parts.clock, self.parts.settings.score.period_seconds
        due = clock.uptime()
        while not self._stop.is_set():
            watchdog.beat()
            self.parts.watcher.take_frame()
            due = max(due + period, clock.uptime())
            while not self._stop.is_set():
                watchdog.beat()
                left = due - clock.uptime()
                if left <= 0 or self._wake.wait(min(left, MAX_SLEEP_SECONDS)):
                    break
            self._wake.clear()

    def _repeat(self, work: Callable[[], bool]) -> None:
        while not self._stop.is_set():
            try:
                has_more = work()
            except Exception:  # a bug: log its trace, and keep the other threads running
                logger.exception("%s", work.__qualname__)
                has_more = False
            self.parts.rounds[_name(work)] = self.parts.clock.uptime()
            if not has_more:
                self._stop.wait(MAX_SLEEP_SECONDS)


def _name(work: Callable[[], bool]) -> str:
    """Return the name of a thread's work: sender or follower."""
    return work.__qualname__.partition(".")[0].lower()
