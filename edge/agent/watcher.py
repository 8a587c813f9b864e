"""One look: a frame from the camera, its score, and whether it is kept."""

import logging
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from edge.agent.clock import EARLIEST, Clock
from edge.agent.model import ModelInUse
from edge.agent.motion import Motion
from edge.agent.selection import Selection
from edge.cameras.camera import Camera, CameraError, NoNewFrameError, Shot, UnreadableFrameError
from edge.inference.image import UnreadableError
from edge.outbox.moment import Moment
from edge.outbox.queue import Queue
from edge.outbox.reason import Reason
from edge.outbox.result import Result
from edge.outbox.results import Results
from edge.protocol.backoff import backoff_seconds

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""Between two attempts to open a camera."""

ATTEMPTS = 10
"""To open a camera again that did deliver: then its library is started anew, with the process."""


@dataclass
class Seen:
    """What was seen last, for the status and the page.

    Attributes:
        looked_at: uptime of the last look, seconds, whether there was a frame or not.
        image: what was scored.
        moment: when it was taken.
        result: what the model said.
        frames: how many there were since the start.
        kept: how many of them were kept, by reason.
        restarts: how often the camera was opened again.
        failure: what is wrong with the camera.
        troubles: the last things that went wrong, each with its time.
    """

    looked_at: float
    image: bytes | np.ndarray | None = None
    moment: Moment | None = None
    result: Result | None = None
    frames: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    restarts: int = 0
    failure: str | None = "not started yet"
    troubles: deque = field(default_factory=lambda: deque(maxlen=20))


class Watcher:
    """Looks through a camera.

    Args:
        camera: is opened at the first look, and again whenever it fails.
        model: scores, where there is one.
        motion: notices motion; None where nobody asks.
        selection: says what is kept.
        queue: keeps images.
        results: keeps scores.
        clock: the time.
    """

    def __init__(
        self,
        camera: Camera,
        model: ModelInUse | None,
        motion: Motion | None,
        selection: Selection,
        queue: Queue,
        results: Results,
        clock: Clock,
    ):
        self._camera, self._model, self._motion = camera, model, motion
        self._selection, self._queue, self._results = selection, queue, results
        self._clock = clock
        self._is_open, self._attempts, self._not_before = False, 0, 0.0
        self.seen = Seen(looked_at=clock.uptime())

    def look(self) -> None:
        """Take the newest frame, score it, and keep it if there is a reason.

        Raises:
            CameraError: a camera that did deliver could not be opened again: a new process may.
        """
        if self._clock.uptime() >= self._not_before:
            self._look()
        self.seen.looked_at = self._clock.uptime()

    def close(self) -> None:
        """Stop the camera."""
        if self._is_open:
            self._is_open = False
            self._camera.close()

    def _look(self) -> None:
        try:
            if not self._is_open:
                self._camera.open()
                self._is_open = True
            # the clock may be set while a frame is waited for: that frame shows the time before
            was_set = self._clock.now().is_synced
            with self._camera.shot() as shot:
                self._attempts, self.seen.failure = 0, None
                self._take(shot, was_set)
        except UnreadableFrameError as error:
            self._attempts = 0
            self._say(error)
        except NoNewFrameError:
            self._attempts, self.seen.failure = 0, None
        except CameraError as error:
            self._camera_failed(error)

    def _take(self, shot: Shot, was_set: bool) -> None:
        now = self._clock.now()
        known = shot.has_own_time or (was_set and shot.captured_at >= EARLIEST)
        moment = Moment(shot.captured_at, now.uptime, now.boot, known)
        result = None
        if self._model:
            self._model.refresh()
            result = self._model.score(shot.image)
        moves = self._motion is not None and self._moves(shot)
        reason = self._selection.reason(now.uptime, moves, result)
        image = None if reason is None else self._keep(shot, reason, moment)
        if result is not None:
            self._results.add(result, moment, image)
            if result.reason:
                self._trouble(result.reason)
        seen = self.seen
        seen.image, seen.moment, seen.result = shot.image, moment, result
        seen.frames += 1

    def _moves(self, shot: Shot) -> bool:
        try:
            return self._motion.seen(shot.image)
        except UnreadableError:
            return False

    def _keep(self, shot: Shot, reason: Reason, moment: Moment) -> int | None:
        try:
            frame = shot.frame()
            number = self._queue.keep(frame, self._camera.model, reason, moment)
        except (CameraError, ValueError) as error:  # it cannot be read, or has no pixels
            self._trouble(str(error))
            return None
        if number is not None:
            self.seen.kept[reason] = self.seen.kept.get(reason, 0) + 1
        return number

    def _camera_failed(self, error: CameraError) -> None:
        delivered = self.seen.frames > 0
        self._attempts += 1
        self._say(error)
        self.seen.restarts += self._is_open
        self.close()
        if delivered and self._attempts > ATTEMPTS:
            raise error
        pause = backoff_seconds(self._attempts, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        self._not_before = self._clock.uptime() + pause

    def _say(self, failure: CameraError) -> None:
        if self.seen.failure != str(failure):
            logger.warning("camera: %s", failure)
            self._trouble(f"camera: {failure}")
        self.seen.failure = str(failure)

    def _trouble(self, text: str) -> None:
        said = " ".join(text.split())[:300]
        self.seen.troubles.append((self._clock.now().wall_time.isoformat(timespec="seconds"), said))
