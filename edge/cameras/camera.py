"""What every camera is: something that yields frames."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np

from edge.errors import UserError


class CameraError(UserError):
    """A camera cannot deliver."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture, as it leaves a camera.

    Attributes:
        pixels: ``uint8 [h, w, 3]``, RGB, upright.
        captured_at: when the picture was taken; always with a time zone.
        label: the class, where the camera knows it ("1": a package is in view, "0": none).
        encoded: the file's bytes, where the picture was a file already.
        file_name: that file's name, without its folder.
    """

    pixels: np.ndarray
    captured_at: datetime
    label: str | None = None
    encoded: bytes | None = None
    file_name: str | None = None

    @property
    def picture(self) -> bytes | np.ndarray:
        """What to score: the file's bytes where they exist, otherwise the pixels."""
        return self.pixels if self.encoded is None else self.encoded


class Camera(Protocol):
    """A source of frames.

    Attributes:
        model: the camera's model, as it goes into EXIF.
    """

    model: str

    def frames(self, count: int | None) -> Iterator[Frame]:
        """Yield ``count`` frames in order, or for ``None`` as many as the camera has.

        Raises:
            CameraError: the camera cannot deliver.
        """
        ...
