"""The model in use: reloaded when it changes, and confirmed or reverted by its first frames."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from edge.agent.frame_marker import FrameMarker, frame_hash
from edge.cameras.camera import Shot
from edge.inference.errors import UnreadableError, UserError, describe_error
from edge.inference.record import CROP
from edge.inference.region import WHOLE, Region, region_of
from edge.outbox.result import Result
from edge.protocol.backoff import backoff_seconds
from edge.update.current import CurrentModel, current_fingerprint
from edge.update.errors import NoModelError
from edge.update.load_errors import LOAD_ERRORS
from edge.update.probation import Probation

logger = logging.getLogger(__name__)

FRAMES_OF_PROBATION = 3
"""Real frames that a new model must score before it is confirmed."""

FORGIVEN_SECONDS = 86_400.0
"""Of scoring without a failure, after which earlier crashes of a release no longer count. Good
frames alone prove nothing: a model may hang on some frames only, and is rolled back if it does so
more often than this."""

LONGEST_PAUSE_SECONDS = 300.0
"""Between two attempts to load a failed model: each reads and hashes all files."""


Uptime = Callable[[], float]


class AgentModel:
    """Scores with the model that the link ``current`` points at.

    Args:
        folder: of one model, with its versions.
        device: the ID of this device.
        threads: of onnxruntime; 0 lets it choose.
        probation: of a new model.
        uptime: returns seconds that never decrease.

    Attributes:
        current: the loaded model; None if there is none.
        failure: what is wrong with it; None if it is healthy.
    """

    def __init__(
        self, folder: Path, device: str, threads: int, probation: Probation, uptime: Uptime
    ):
        self._folder, self._threads, self._probation = folder, threads, probation
        self._device, self._uptime = device, uptime
        self._good_frames, self._has_recovered = 0, False
        self._loaded_at, self._is_forgiven = 0.0, False
        self._marker = FrameMarker(folder / "scoring.json")
        self._failures, self._not_before, self._bad_frames = 0, 0.0, 0
        self._failed_link: tuple[str, int, int] | None = None
        self.current: CurrentModel | None = None
        self.failure: str | None = None

    @property
    def region(self) -> Region:
        """The part of this device's images that the model takes; all of them without a model."""
        return region_of(self.current.scorer.record.regions if self.current else {}, self._device)

    def refresh(self) -> None:
        """Load the model if it changed; call this when a frame is ready to be scored.

        A model that failed is loaded again at once, then after growing pauses, or when it changes.
        """
        if self.current is not None and not self.current.is_stale():
            return
        if not self._folder.is_dir():
            self.current, self.failure = None, "no model was pulled yet"
            return
        if current_fingerprint(self._folder) != self._failed_link:
            self._failures = 0
        elif self._uptime() < self._not_before:
            return
        self._load()

    def score(self, shot: Shot) -> Result | None:
        """Return the result of a shot, or None if there is no model.

        A model that takes a part of the image gets the full frame: in the smaller stream, that part
        may have too few pixels, and another shape.

        An unreadable image gets a result without a score. A model that fails on a real frame is
        unloaded, and reverted if it is on probation.

        Raises:
            CameraError: the full frame cannot be read.
        """
        if self.current is None:
            return None
        model, version = self.current.model, self.current.version
        scorer, image = self.current.scorer, shot.image
        takes_part = scorer.record.resizing == CROP or self.region != WHOLE
        if takes_part and not isinstance(image, bytes):
            image = shot.frame().pixels
        frame = frame_hash(image)
        if frame == self._marker.avoided:
            return Result(model, version, reason=f"a process ended while it scored frame {frame}")
        try:
            with self._marker.scoring(self.current.folder.name, frame):
                (prediction,) = scorer.predict([image], self._device)
        except UnreadableError as error:
            return Result(model, version, reason=f"unreadable: {error}")
        except (ValueError, *LOAD_ERRORS) as error:
            reason = f"{describe_error(error)} (frame {frame})"
            self._handle_failure(self.current, reason)
            return Result(model, version, reason=f"the model fails: {reason}")
        self._handle_success(self.current)
        return Result.of(model, version, prediction)

    def _load(self) -> None:
        if not self._has_recovered:
            recover = partial(self._probation.recover, self._marker.crash)
            self._has_recovered = self._try_to_record(recover)
        linked, *_ = current_fingerprint(self._folder) or ("",)
        try:
            with self._marker.scoring(linked, "before the first"):
                self.current = loaded = CurrentModel(self._folder, self._threads)
        except NoModelError as error:
            self._unload(str(error))
            return
        self._good_frames, self.failure = 0, None
        self._loaded_at, self._is_forgiven = self._uptime(), False
        logger.info("scoring with %s %s", loaded.model, loaded.version)
        if why := loaded.fallback_reason:
            self.failure = f"{why}; release {loaded.release} is used"
            logger.error("model: %s", self.failure)
            self._try_to_record(lambda: self._end_probation(loaded))

    def _handle_success(self, loaded: CurrentModel) -> None:
        self._bad_frames = 0
        if self._good_frames == FRAMES_OF_PROBATION:
            self._forgive(loaded)
            return
        self._good_frames += 1
        if self._good_frames < FRAMES_OF_PROBATION:
            return
        self._failures = 0
        if not self._probation.is_active(loaded.linked_folder):
            return
        if self._try_to_record(lambda: self._end_probation(loaded)):
            self.failure = None
        else:
            self._good_frames -= 1  # the next frame tries again

    def _forgive(self, loaded: CurrentModel) -> None:
        if not self._is_forgiven and self._uptime() - self._loaded_at >= FORGIVEN_SECONDS:
            self._is_forgiven = True
            self._try_to_record(lambda: self._probation.forgive(loaded.folder))

    def _end_probation(self, loaded: CurrentModel) -> None:
        """Confirm the linked release after good frames, or revert it if it does not load.

        Frames scored by the release before it are no evidence for it.
        """
        if why := loaded.fallback_reason:
            self._probation.rollback(f"it does not load: {why}", loaded.linked_folder)
        else:
            self._probation.commit(loaded.folder)
            logger.info("version %s is confirmed", loaded.version)

    def _handle_failure(self, loaded: CurrentModel, reason: str) -> None:
        logger.error("version %s fails on a real frame: %s", loaded.version, reason)
        why = f"it fails on a real frame: {reason}"
        self._unload(f"version {loaded.version}: {why}")
        self._bad_frames += 1
        has_failed_often = self._bad_frames >= FRAMES_OF_PROBATION
        self._try_to_record(lambda: self._probation.rollback(why, loaded.folder, has_failed_often))

    def _unload(self, failure: str) -> None:
        """Use no model until the next frame, or after a pause if that attempt failed too."""
        self.current, self.failure = None, failure
        # the first failure counts as none: after a rollback, the next frame finds a good model
        pause = backoff_seconds(self._failures, 1.0, LONGEST_PAUSE_SECONDS)
        self._not_before = self._uptime() + pause
        self._failures, self._failed_link = self._failures + 1, current_fingerprint(self._folder)

    def _try_to_record(self, change: Callable[[], None]) -> bool:
        """Return whether a change of the probation could be written; the disk may be full."""
        try:
            change()
        except (UserError, OSError) as error:
            self.failure = f"cannot record the end of the probation: {describe_error(error)}"
            logger.warning("model: %s", self.failure)
            return False
        return True
