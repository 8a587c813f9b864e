"""Motion detection that ignores changes of the light."""

import numpy as np
from numpy.typing import NDArray

from edge.cameras.camera import FrameImage
from edge.inference.prepare import prepare

SIZE = (48, 64)
"""(height, width) of the compared image: leaves and noise blur away at this size."""

LEARNING_RATE = 0.1
"""The share of each frame in the new background."""

MIN_CHANGE = 12.0
"""Of 255: how much more than the median a changed cell differs from the background."""

MAX_SHARE = 0.6
"""Of the cells: if more of them change, the cause is a lamp or a cloud."""


class Motion:
    """Compares each frame with a slowly learnt background.

    Args:
        share: of the view that must change, 0–1.

    Example::

        motion = Motion(share=0.02)
        if motion.detect(shot.image):
            …
    """

    def __init__(self, share: float):
        self._share = share
        self._background: NDArray[np.float32] | None = None

    def detect(self, image: FrameImage) -> bool:
        """Return whether a frame shows motion; the first one never does."""
        grey = prepare(image, SIZE).mean(axis=2, dtype=np.float32)
        if self._background is None:
            self._background = grey
            return False
        difference = grey - self._background
        changed = np.abs(difference - np.median(difference)) > MIN_CHANGE
        if changed.mean() > MAX_SHARE:
            self._background = grey
            return False
        self._background += LEARNING_RATE * difference
        return bool(changed.mean() >= self._share)
