"""Takes a frame from the camera, has it scored, and keeps it if there is a reason."""

import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from edge.actions.actions import Actions
from edge.agent.clock import EARLIEST, Clock
from edge.agent.model import AgentModel
from edge.agent.motion import Motion
from edge.agent.selection import Selection
from edge.cameras.camera import Camera, FrameImage, Shot
from edge.cameras.errors import CameraError, NoNewFrameError, UnreadableFrameError
from edge.cameras.jpeg import encode_smaller
from edge.inference.errors import UnreadableError
from edge.inference.region import Region
from edge.outbox.moment import Moment
from edge.outbox.queue import Queue
from edge.outbox.reason import Reason
from edge.outbox.result import Result
from edge.outbox.results import Results
from edge.preview.source import RecentImage
from edge.protocol.backoff import backoff_seconds

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""Between two attempts to open a camera."""

DISK_SECONDS = 60.0
"""Between two looks at a disk that took no files at the start."""

MAX_ATTEMPTS = 10
"""To reopen a camera that worked before; then the process ends, which reloads its library."""


RECENT, RECENT_SIDE = 12, 240
"""Images that the page shows, and pixels of their longer side: about 10 KB each."""


@dataclass
class WatcherState:
    """What the watcher took last, for the status and the page.

    Attributes:
        polled_at: uptime of the last attempt to take a frame, seconds.
        image: the last frame.
        moment: when it was taken.
        result: of the model.
        frames: how many were taken since the start.
        kept: how many of them were kept, by reason.
        recent: the images that were kept last.
        restarts: how often the camera was closed after a failure.
        failure: what is wrong with the camera.
        recent_errors: the last errors, each with its time.
    """

    polled_at: float
    image: FrameImage | None = None
    moment: Moment | None = None
    result: Result | None = None
    frames: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    recent: deque[RecentImage] = field(default_factory=lambda: deque(maxlen=RECENT))
    restarts: int = 0
    failure: str | None = "not started yet"
    recent_errors: deque[dict[str, str]] = field(default_factory=lambda: deque(maxlen=20))


@dataclass
class Watcher:
    """Watches through a camera, frame by frame.

    Attributes:
        camera: opened with the first frame, and again whenever it fails.
        model: scores, if there is one.
        motion: detects motion, if the settings want it.
        selection: decides what is kept.
        queue: keeps images.
        results: keeps results.
        clock: the time.
        actions: learn each result.
        privacy_masks: areas that are blackened before anything else sees a frame.
        state: what it took last.
    """

    camera: Camera
    model: AgentModel | None
    motion: Motion | None
    selection: Selection
    queue: Queue
    results: Results
    clock: Clock
    actions: Actions
    privacy_masks: list[Region] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._is_open, self._failures, self._not_before = False, 0, 0.0
        self._disk_due = 0.0
        self.state = WatcherState(polled_at=self.clock.uptime())

    def take_frame(self) -> None:
        """Take the newest frame, score it, and keep it if there is a reason.

        Raises:
            CameraError: a camera that worked before cannot be reopened: restart the process.
            StoreError: so do, since the disk has recovered.
        """
        if self.clock.uptime() >= self._disk_due:
            self._disk_due = self.clock.uptime() + DISK_SECONDS
            self.queue.store.require_restart()
        if self.clock.uptime() >= self._not_before:
            self._poll_camera()
        self.state.polled_at = self.clock.uptime()

    def close(self) -> None:
        """Stop the camera."""
        if self._is_open:
            self._is_open = False
            self.camera.close()

    def _poll_camera(self) -> None:
        try:
            if not self._is_open:
                self.camera.open()
                self._is_open = True
            # the clock may be set while this waits for a frame, which then has the time before
            was_synced = self.clock.now().is_synced
            with self.camera.shot() as shot:
                self._failures, self.state.failure = 0, None
                self._process(shot.blackened(self.privacy_masks), was_synced)
        except UnreadableError as error:  # what cannot be decoded cannot be blackened
            self._failures = 0
            self._set_failure(UnreadableFrameError(f"its frame is not readable: {error}"))
        except UnreadableFrameError as error:
            self._failures = 0
            self._set_failure(error)
        except NoNewFrameError:
            self._failures, self.state.failure = 0, None
        except CameraError as error:
            self._handle_failure(error)

    def _process(self, shot: Shot, was_synced: bool) -> None:
        now = self.clock.now()
        is_synced = shot.has_own_time or (was_synced and shot.captured_at >= EARLIEST)
        moment = Moment(shot.captured_at, now.uptime, now.boot, is_synced)
        result = None
        if self.model:
            self.model.refresh()
            result = self.model.score(shot)
            if result:  # before the image is kept, which takes longer
                self.actions.observe(result, moment, shot.image)
        reason = self.selection.reason(now.uptime, self._detect_motion(shot), result)
        image_id = None if reason is None else self._keep(shot, reason, moment, result)
        if result is not None:
            self.results.add(result, moment, image_id)
            if result.reason:
                self._record_error(result.reason)
        state = self.state
        state.image, state.moment, state.result = shot.image, moment, result
        state.frames += 1

    def _detect_motion(self, shot: Shot) -> bool:
        try:
            return self.motion is not None and self.motion.detect(shot.image)
        except UnreadableError:
            return False

    def _keep(
        self, shot: Shot, reason: Reason, moment: Moment, result: Result | None
    ) -> int | None:
        try:
            frame = shot.frame()
            if result is None or result.label is None:  # else it was decoded to be scored
                _ = frame.pixels
            image_id = self.queue.keep(frame, self.camera.model, reason, moment)
        except (CameraError, ValueError) as error:  # it cannot be read, or has no pixels
            self._record_error(str(error))
            return None
        if image_id is not None:
            self.state.kept[reason] = self.state.kept.get(reason, 0) + 1
            at, label = (
                moment.wall_time.isoformat(timespec="seconds"),
                getattr(result, "label", None),
            )
            with suppress(UnreadableError):  # it is kept as it is, and has nothing to show
                jpeg = encode_smaller(frame.image, RECENT_SIDE)
                self.state.recent.append(RecentImage(image_id, at, reason, label, jpeg))
        return image_id

    def _handle_failure(self, error: CameraError) -> None:
        self._failures += 1
        self._set_failure(error)
        self.state.restarts += self._is_open
        self.close()
        if self.state.frames and self._failures > MAX_ATTEMPTS:
            raise error
        pause = backoff_seconds(self._failures, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        self._not_before = self.clock.uptime() + pause

    def _set_failure(self, error: CameraError) -> None:
        if self.state.failure != str(error):
            logger.warning("camera: %s", error)
            self._record_error(f"camera: {error}")
        self.state.failure = str(error)

    def _record_error(self, message: str) -> None:
        at = self.clock.now().wall_time.isoformat(timespec="seconds")
        said = " ".join(message.split())[:300]
        self.state.recent_errors.append({"at": at, "message": said})
