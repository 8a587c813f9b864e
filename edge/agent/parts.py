"""The parts of a device, made as the settings say, each with those that it works with."""

import logging

from edge.agent.clock import Clock
from edge.agent.follower import Follower
from edge.agent.model import ModelInUse
from edge.agent.motion import Motion
from edge.agent.selection import Selection
from edge.agent.settings import CameraSettings, Settings
from edge.agent.watcher import Watcher
from edge.cameras.camera import Camera, CameraOptions
from edge.cameras.kinds import make_camera
from edge.outbox.queue import Queue
from edge.outbox.results import Results
from edge.outbox.store import Store
from edge.protocol.signature import KEYS_FILE, read_keys
from edge.update.polling import PollTimes
from edge.update.registry import Registry
from edge.update.updater import Updater

logger = logging.getLogger(__name__)

MEGABYTE = 1_000_000


class Parts:
    """What looks, scores, keeps and updates; only the sender, which also reports, is apart.

    Args:
        settings: as read from the file.
        clock: another one than the machine's.
        camera: another one than the settings say.

    Attributes:
        started: when they were made.
        updater, follower, model: None where no model is followed.
    """

    def __init__(
        self, settings: Settings, clock: Clock | None = None, camera: Camera | None = None
    ):
        kept = settings.store
        self.settings, self.store = settings, Store(kept.folder)
        self.clock = clock or Clock(settings.trust_clock, self.store)
        self.started = self.clock.now()
        self.camera = camera or make_camera(settings.camera.kind, _camera_options(settings.camera))
        self.queue = Queue(
            self.store,
            round(kept.images_megabytes * MEGABYTE),
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
        times = PollTimes(followed.poll_seconds, seed=settings.device)
        self.follower = Follower(self.updater, times, self.clock)
        folder = settings.models / followed.name
        self.model = ModelInUse(
            folder, settings.score.threads, self.updater.probation, self.clock.uptime
        )


def _camera_options(settings: CameraSettings) -> CameraOptions:
    return CameraOptions(
        source=settings.source,
        size=settings.size[::-1],
        scored_size=settings.scored_size[::-1],
        upside_down=settings.upside_down,
        controls=settings.controls,
        stalled_seconds=settings.stalled_seconds,
        seed=settings.seed,
    )
