"""The agent: looks, scores, keeps, sends and updates, until it is stopped.

One thread looks through the camera, and nothing else may hold that up: sending and updating have
a thread each, since a network may take its time. A failure in one of them is theirs alone.
"""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from edge.agent.clock import Clock
from edge.agent.follower import Follower
from edge.agent.landing import Landing
from edge.agent.model import ModelInUse
from edge.agent.motion import Motion
from edge.agent.queue import Queue
from edge.agent.results import Results
from edge.agent.selection import Selection
from edge.agent.sender import Sender
from edge.agent.settings import CameraSettings, Settings
from edge.agent.status import OVERDUE_SECONDS, status
from edge.agent.store import Store
from edge.agent.watchdog import Watchdog
from edge.agent.watcher import Watcher
from edge.cameras.camera import Camera
from edge.registry import Registry
from edge.signature import KEYS_FILE, read_keys
from edge.update.polling import PollTimes
from edge.update.updater import Updater

logger = logging.getLogger(__name__)

NAP_SECONDS = 1.0
"""The longest sleep: a stop, a demand and the watchdog are not kept waiting."""

MEGABYTE = 1_000_000


class Agent:
    """All parts of a device, joined.

    Args:
        settings: as read from the file.
        clock: the time.
        camera: another one than the settings say.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None, camera=None):
        self.settings, self.clock = settings, clock or Clock()
        self.started = self.clock.now()
        self.camera: Camera = camera or _camera(settings.camera)
        kept, landing = settings.store, settings.landing
        self.store = Store(kept.folder)
        self.queue = Queue(
            self.store,
            round(kept.pictures_megabytes * MEGABYTE),
            round(kept.free_megabytes * MEGABYTE),
            settings.device,
            settings.view,
        )
        self.results = Results(self.store, kept.results, settings.device)
        self.selection = Selection(settings.capture, settings.score)
        self.updater = self.follower = self.model = None
        if settings.model:
            self._follow(settings)
        self.watcher = Watcher(
            self.camera,
            self.model,
            Motion(settings.capture.motion_share) if settings.capture.motion else None,
            self.selection,
            self.queue,
            self.results,
            self.clock,
        )
        self.sender = Sender(
            Landing(landing.url, landing.options, landing.mount),
            self.queue,
            self.results,
            settings.device,
            lambda: status(self),
            self.clock,
            60 * landing.report_minutes,
            landing.retry_most_seconds,
        )
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._looked_at = self.clock.uptime()

    def run(self, watchdog: Watchdog) -> None:
        """Go on until :meth:`stop`; what is then in the queue is sent after the next start."""
        works = [self.sender.work] + ([self.follower.work] if self.follower else [])
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
            self.watcher.close()
            for thread in threads:
                thread.join(NAP_SECONDS)  # one that hangs in a network ends with the process
            watchdog.stop()

    def stop(self) -> None:
        """End :meth:`run` soon."""
        self._stop.set()
        self._wake.set()

    def demand(self) -> None:
        """Keep a picture of now."""
        self.selection.demand()
        self._wake.set()

    def look(self) -> None:
        """One look, as :meth:`run` takes them."""
        self.watcher.look()
        self._looked_at = self.clock.uptime()

    def complaints(self) -> list[str]:
        """What keeps the device from its work; none where it is well."""
        found = []
        if failure := self.watcher.seen.failure:
            found.append(f"camera: {failure}")
        late = self.clock.uptime() - self._looked_at - self.settings.score.period_seconds
        if late > OVERDUE_SECONDS:
            found.append(f"the last look is {late:.0f} s overdue")
        return found

    def _look_again_and_again(self, watchdog: Watchdog) -> None:
        due = self.clock.uptime()
        while not self._stop.is_set():
            watchdog.beat()
            self.look()
            due = max(due + self.settings.score.period_seconds, self.clock.uptime())
            while not self._stop.is_set():
                watchdog.beat()
                left = due - self.clock.uptime()
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

    def _follow(self, settings: Settings) -> None:
        followed = settings.model
        named = followed.keys or settings.models / KEYS_FILE
        keys = read_keys(named) if followed.keys or named.exists() else []
        if not keys:
            logger.warning("no key is pinned, so any release is taken: see docs/device.md")
        self.updater = Updater(
            Registry(followed.server),
            followed.name,
            followed.alias,
            settings.models,
            keys,
            threads=settings.score.threads,
        )
        self.updater.recover()
        times = PollTimes(followed.poll_seconds, seed=settings.device)
        self.follower = Follower(self.updater, times, self.clock)
        folder = settings.models / followed.name
        self.model = ModelInUse(folder, settings.score.threads, self.updater)


def _camera(settings: CameraSettings) -> Camera:
    width, height = settings.size
    if settings.kind == "picamera2":
        from edge.cameras.picamera2 import Picamera2Camera

        return Picamera2Camera(
            size=(height, width),
            number=int(settings.source),
            lores=settings.scored_size[::-1],
            upside_down=settings.upside_down,
            controls=settings.controls,
            patience=settings.stalled_seconds,
        )
    if settings.kind == "opencv":
        from edge.cameras.opencv import OpenCVCamera

        return OpenCVCamera(settings.source, (height, width), settings.stalled_seconds)
    if settings.kind == "folder":
        from edge.cameras.folder import FolderCamera

        return FolderCamera(settings.source)
    from edge.cameras.simulated import SimulatedCamera

    now = Clock().now().shown
    return SimulatedCamera(now, timedelta(seconds=1), settings.seed)
