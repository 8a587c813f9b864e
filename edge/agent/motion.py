"""Motion: whether something other than the light has changed before the camera."""

import numpy as np

from edge.inference.scoring import prepare

SIZE = (48, 64)
"""(height, width) of the image that is compared: leaves and noise blur away in it."""

LEARNS = 0.1
"""How much of each frame goes into the background."""

CHANGED = 12.0
"""Of 255: a cell that differs by more from the background, beyond what the whole frame does."""

LIGHT = 0.6
"""Of the cells: where more of them change, it is a lamp or a cloud."""


class Motion:
    """Compares each frame with a slowly learnt background.

    Args:
        share: of the view that has to change, 0–1.

    Example::

        motion = Motion(share=0.02)
        if motion.seen(shot.image):
            …
    """

    def __init__(self, share: float):
        self._share = share
        self._background: np.ndarray | None = None

    def seen(self, image: bytes | np.ndarray) -> bool:
        """Whether this frame shows motion; the first one never does.

        Args:
            image: as ``edge.inference.scoring.prepare`` takes it.
        """
        grey = prepare(image, SIZE).mean(axis=2, dtype=np.float32)
        if self._background is None:
            self._background = grey
            return False
        difference = grey - self._background
        changed = np.abs(difference - np.median(difference)) > CHANGED
        if changed.mean() > LIGHT:
            self._background = grey
            return False
        self._background += LEARNS * difference
        return bool(changed.mean() >= self._share)
