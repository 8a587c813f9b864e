"""Builds the parts of a device from its settings."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from edge.actions.actions import Actions
from edge.actions.kinds import make_actions
from edge.agent.clock import Clock
from edge.agent.follower import Follower
from edge.agent.model import AgentModel
from edge.agent.motion import Motion
from edge.agent.selection import Selection
from edge.agent.settings import ModelSettings, Settings
from edge.agent.watcher import Watcher
from edge.cameras.camera import Camera
from edge.cameras.kinds import make_camera
from edge.outbox.erasures import Erasures
from edge.outbox.queue import Queue
from edge.outbox.results import Results
from edge.outbox.store import Store
from edge.protocol.signature import pinned_keys
from edge.update.polling import PollTimes
from edge.update.registry import Registry
from edge.update.updater import Updater

logger = logging.getLogger(__name__)

MEGABYTE = 1_000_000


class Parts:
    """All that takes frames, scores, keeps and updates; the sender is not among them.

    Args:
        settings: from the TOML file.
        status: returns the device's status.
        clock: in place of the machine's.
        camera: in place of the one in the settings.

    Attributes:
        started: when the parts were built.
        updater, follower, model: None if the settings name no model.
        rounds: uptime at which each thread finished its last round, in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        status: Callable[[], dict[str, Any]],
        clock: Clock | None = None,
        camera: Camera | None = None,
    ):
        limits, device = settings.store, settings.device
        actions = make_actions(settings.actions, device, status)
        self.settings, self.store = settings, Store(limits.folder)
        self.clock = clock or Clock(settings.trust_clock, self.store)
        self.started = self.clock.now()
        self.rounds: dict[str, float] = {}
        self.camera = camera or make_camera(settings.camera)
        max_bytes = round(limits.images_megabytes * MEGABYTE)
        min_free_bytes = round(limits.free_megabytes * MEGABYTE)
        self.queue = Queue(self.store, max_bytes, min_free_bytes, device, settings.view)
        results_bytes = round(limits.results_megabytes * MEGABYTE)
        self.results = Results(self.store, limits.results, device, results_bytes)
        self.erasures = Erasures(self.store, device)
        self.selection = Selection(settings.capture, settings.score)
        self.updater: Updater | None = None
        self.follower: Follower | None = None
        self.model: AgentModel | None = None
        if settings.model:
            self._follow(settings.model)
        motion = Motion(settings.capture.motion_share) if settings.capture.motion else None
        state, period = settings.state, settings.score.period_seconds
        # frames that come less often are not a pause
        state = replace(state, forget_seconds=max(state.forget_seconds, 3 * period))
        self.actions = Actions(state, actions, self.store, device, settings.view)
        self.watcher = Watcher(
            *(self.camera, self.model, motion, self.selection, self.queue, self.results),
            *(self.clock, self.actions, settings.camera.privacy_masks),
        )

    def _follow(self, model: ModelSettings) -> None:
        models, threads = self.settings.models, self.settings.score.threads
        keys = pinned_keys(Path(model.keys) if model.keys else None, models)
        self.updater = Updater(
            *(
                Registry(model.server),
                model.name,
                model.alias,
                models,
                keys,
                model.unsigned,
                threads,
            ),
            device=self.settings.device,
            synced_time=self._synced_time,
        )
        times = PollTimes(model.poll_seconds, seed=self.settings.device)
        self.follower = Follower(self.updater, times, self.clock, self.erasures)
        probation, uptime = self.updater.probation, self.clock.uptime
        folder, device = models / model.name, self.settings.device
        self.model = AgentModel(folder, device, threads, probation, uptime)

    def _synced_time(self) -> datetime | None:
        now = self.clock.now()
        return now.wall_time if now.is_synced else None
