"""The model in use: loaded again when it changes, and confirmed or undone by its first frames."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge.inference.errors import UserError
from edge.inference.image import UnreadableError
from edge.outbox.result import Result
from edge.protocol.backoff import backoff_seconds
from edge.update.current import CurrentModel, NoModelError, link_state
from edge.update.probation import Probation
from edge.update.self_test import UNLOADABLE

logger = logging.getLogger(__name__)

FRAMES_OF_PROBATION = 3
"""Real frames that a new model has to score before it is confirmed."""

LONGEST_PAUSE_SECONDS = 300.0
"""Between two attempts to load what failed: each reads and hashes all files."""


class ModelInUse:
    """Scores with what the link ``current`` points at.

    Args:
        folder: of one model, with its versions.
        threads: onnxruntime's; 0 as it likes.
        probation: of a new model.
        uptime: seconds, never going back.

    Attributes:
        current: the loaded model; None where there is none.
        failure: what is wrong with it; None where all is well.
    """

    def __init__(
        self,
        folder: Path,
        threads: int,
        probation: Probation,
        uptime: Callable[[], float] = time.monotonic,
    ):
        self._folder, self._threads, self._probation = folder, threads, probation
        self._uptime = uptime
        self._good_frames, self._has_recovered = 0, False
        self._attempts, self._not_before, self._failed = 0, 0.0, ()
        self.current: CurrentModel | None = None
        self.failure: str | None = None

    def refresh(self) -> None:
        """Load the model if there is another one than before; call it with a frame at hand.

        What failed is tried again at once, then after ever longer pauses, or when it has changed.
        """
        if self.current is not None and not self.current.stale():
            return
        if not self._folder.is_dir():
            self.current, self.failure = None, "none was pulled yet"
            return
        if link_state(self._folder) != self._failed:
            self._attempts = 0
        elif self._uptime() < self._not_before:
            return
        self._load()

    def score(self, image: bytes | np.ndarray) -> Result | None:
        """Score an image; None where there is no model.

        What is no image gets a result without a score. A model that fails on a real frame is
        put away, and undone if it is new.
        """
        if self.current is None:
            return None
        model, version = self._folder.name, str(self.current.version)
        try:
            (prediction,) = self.current.scorer.predict([image])
        except UnreadableError as error:
            return Result(model, version, reason=f"unreadable: {error}")
        except (ValueError, *UNLOADABLE) as error:
            reason = " ".join(str(error).split())
            self._fails(self.current, reason)
            return Result(model, version, reason=f"the model fails: {reason}")
        self._works(self.current)
        return Result.of(model, version, prediction)

    def _load(self) -> None:
        if not self._has_recovered:
            self._has_recovered = self._noted(self._probation.recover)
        try:
            self.current = loaded = CurrentModel(self._folder, self._threads)
        except NoModelError as error:
            self._put_away(str(error))
            return
        self._good_frames, self.failure = 0, None
        logger.info("scoring with version %s", loaded.version)
        if why := loaded.passed_over:
            self.failure = f"{why}; release {loaded.release} is used"
            logger.error("model: %s", self.failure)
            self._noted(lambda: self._end_probation(loaded))

    def _works(self, loaded: CurrentModel) -> None:
        if self._good_frames == FRAMES_OF_PROBATION:
            return
        self._good_frames += 1
        if self._good_frames < FRAMES_OF_PROBATION:
            return
        self._attempts = 0
        if not self._probation.lasts(loaded.linked):
            return
        if self._noted(lambda: self._end_probation(loaded)):
            self.failure = None
        else:
            self._good_frames -= 1  # the next frame tries again

    def _end_probation(self, loaded: CurrentModel) -> None:
        """By what was seen of the release that the link names: good frames, or that it is broken.

        Frames that the release before it scored in its place say nothing about it.
        """
        if loaded.passed_over:
            self._probation.revert(f"it does not load: {loaded.passed_over}", loaded.linked)
        else:
            self._probation.confirm(loaded.folder)
            logger.info("version %s is confirmed", loaded.version)

    def _fails(self, loaded: CurrentModel, reason: str) -> None:
        logger.error("version %s fails on a real frame: %s", loaded.version, reason)
        why = f"it fails on a real frame: {reason}"
        self._put_away(f"version {loaded.version}: {why}")
        if self._probation.lasts(loaded.folder):
            self._noted(lambda: self._probation.revert(why, loaded.folder))

    def _put_away(self, why: str) -> None:
        """Use no model until the next look, or after a pause if that one failed too."""
        self.current, self.failure = None, why
        # the first attempt after a failure comes at once: it may be what a new release left
        pause = backoff_seconds(self._attempts, 1.0, LONGEST_PAUSE_SECONDS)
        self._not_before = self._uptime() + pause
        self._attempts, self._failed = self._attempts + 1, link_state(self._folder)

    def _noted(self, change: Callable[[], None]) -> bool:
        """Whether a change of the probation could be written down: the disk may be full."""
        try:
            change()
        except (UserError, OSError) as error:
            self.failure = f"the probation cannot end: {' '.join(str(error).split())}"
            logger.warning("model: %s", self.failure)
            return False
        return True
