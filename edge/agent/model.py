"""The model in use: loaded again when it changes, and confirmed or undone by its first frames."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge.agent.results import Result
from edge.current import CurrentModel, NoModelError
from edge.errors import UserError
from edge.scoring import UnreadableError, prepare, prepare_bytes
from edge.update.probation import Probation
from edge.update.trial import UNLOADABLE

logger = logging.getLogger(__name__)

FRAMES_OF_PROBATION = 3
"""Real frames that a new model has to score before it is confirmed."""


class ModelInUse:
    """Scores with what the link ``current`` points at.

    Args:
        folder: of one model, with its versions.
        threads: onnxruntime's; 0 as it likes.
        probation: of a new model.

    Attributes:
        current: the loaded model; None where there is none.
    """

    def __init__(self, folder: Path, threads: int, probation: Probation):
        self._folder, self._threads, self._probation = folder, threads, probation
        self._good_frames = 0
        self.current: CurrentModel | None = None
        self.failure: str | None = None

    def refresh(self) -> None:
        """Load the model if there is another one than before."""
        if self.current is not None and not self.current.stale():
            return
        if not self._folder.is_dir():
            return
        try:
            self.current = CurrentModel(self._folder, self._threads)
        except NoModelError as error:
            self.current, self.failure = None, str(error)
            return
        self._good_frames, self.failure = 0, None
        logger.info("scoring with version %s", self.current.version)

    def score(self, picture: bytes | np.ndarray) -> Result | None:
        """Score a picture; None where there is no model.

        What is no picture gets a result without a score. A model that fails on a real frame is
        put away, and undone if it is new.
        """
        if self.current is None:
            return None
        model, version = self._folder.name, str(self.current.version)
        record = self.current.scorer.record
        begin = time.perf_counter()
        try:
            if isinstance(picture, bytes):
                pixels = prepare_bytes(picture, record.input_size)
            else:
                pixels = prepare(picture, record.input_size)
        except (UnreadableError, ValueError, MemoryError) as error:
            return Result(model, version, reason=f"unreadable: {error}")
        try:
            probabilities = self.current.scorer.score_prepared(pixels[None])[0]
            ms = 1000 * (time.perf_counter() - begin)
            if probabilities.shape != (len(record.labels),) or not np.isfinite(probabilities).all():
                raise ValueError(f"{probabilities} are no probabilities")
        except (ValueError, *UNLOADABLE) as error:
            reason = " ".join(str(error).split())
            self._fails(reason)
            return Result(model, version, reason=f"the model fails: {reason}")
        self._works()
        return Result.of(model, version, record, probabilities, ms)

    def _works(self) -> None:
        if self._good_frames < FRAMES_OF_PROBATION:
            self._good_frames += 1
            if self._good_frames == FRAMES_OF_PROBATION and self._probation.lasts():
                if self._ended(self._probation.confirm):
                    logger.info("version %s is confirmed", self.current.version)
                else:
                    self._good_frames -= 1  # the next frame tries again

    def _fails(self, reason: str) -> None:
        logger.error("version %s fails on a real frame: %s", self.current.version, reason)
        if self._probation.lasts():
            why = f"it fails on a real frame: {reason}"
            self._ended(lambda: self._probation.revert(why))
        else:
            self.failure = reason
        self.current = None  # the next look loads what is in use now

    def _ended(self, probation: Callable[[], None]) -> bool:
        """Whether the end of a probation could be written down: the disk may be full."""
        try:
            probation()
        except (UserError, OSError) as error:
            self.failure = f"the probation cannot end: {' '.join(str(error).split())}"
            logger.warning("model: %s", self.failure)
            return False
        self.failure = None
        return True
