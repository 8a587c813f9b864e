"""From each frame's answer to the state of the camera, and from its changes to every action."""

import json
import logging
import sqlite3
import uuid
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from edge.actions.action import Action, CameraState
from edge.actions.smoothing import Smoothing, StateSettings
from edge.cameras.camera import FrameImage
from edge.outbox.moment import Moment
from edge.outbox.result import Result
from edge.outbox.store import Store

logger = logging.getLogger(__name__)

LAST_CHANGE = "last change"
"""The fact that holds the last change of the state, so that a restart is no change."""


class Actions:
    """The state of the camera, and the actions that learn it.

    Args:
        settings: of the state.
        actions: that learn it.
        store: remembers the state over restarts.
        device, view: of the camera.

    Attributes:
        state: by the newest frame; None before enough frames agree.
    """

    def __init__(
        self, settings: StateSettings, actions: list[Action], store: Store, device: str, view: str
    ):
        self.actions, self._store, self._device, self._view = actions, store, device, view
        stored = store.stored_value(LAST_CHANGE)
        before = CameraState(**json.loads(stored)) if stored else None
        # the device may have got another name, or the card of another one
        self.state = before and replace(before, device=device, view=view)
        self._smoothing = Smoothing(settings, self.state.state if self.state else None)

    def start(self) -> None:
        """Start all actions."""
        for action in self.actions:
            action.start()

    def stop(self) -> None:
        """Stop all actions."""
        for action in self.actions:
            action.stop()

    def observe(self, result: Result, moment: Moment, image: FrameImage) -> None:
        """Count the answer for a frame, and tell the actions; this never waits for a network.

        Args:
            result: of the model; one without a score does not count.
            moment: when the frame was taken.
            image: the frame.
        """
        if result.label is None or result.score is None or result.probabilities is None:
            return
        before = self._smoothing.state
        is_change = self._smoothing.update(result.label, moment.uptime)
        after = self._smoothing.state
        state = self.state
        if is_change and after:
            at = moment.wall_time.isoformat(timespec="milliseconds") if moment.is_synced else None
            id = f"msg_{uuid.uuid4().hex}"
            state = CameraState(id, self._device, self._view, after, before, at)
        if state is None:
            return
        score = result.probabilities.get(state.state, result.score)
        model, version, labels = result.model, result.version, list(result.probabilities)
        self.state = replace(state, score=score, model=model, model_version=version, labels=labels)
        for action in self.actions:
            action.observe(self.state, is_change, image)
        if is_change:
            logger.info("the state is %s", after)
            with suppress(sqlite3.Error):  # a full disk
                self._store.store_value(LAST_CHANGE, json.dumps(asdict(self.state)))

    def status(self) -> dict[str, Any]:
        """Return the state and what the actions wait for, ready for JSON."""
        return {
            "state": self.state and self.state.state,
            "state_since": self.state and self.state.at,
            "actions": {
                action.name: {"failure": action.failure, "waiting": action.waiting()}
                for action in self.actions
            },
        }
