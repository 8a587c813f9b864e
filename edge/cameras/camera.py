"""What every camera is: something that yields frames, or looks once when it is asked to."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np

from edge.inference.errors import UserError


class CameraError(UserError):
    """A camera cannot deliver."""


class StalledError(CameraError):
    """A camera that is open does not deliver any more: close it and open it again."""


class NoNewFrameError(CameraError):
    """There is nothing new before the camera, which is no fault of it."""


class UnreadableFrameError(NoNewFrameError):
    """What is newest before the camera is no image; there is none until another comes."""


@dataclass(frozen=True)
class Exposure:
    """How an image was exposed: seconds, and the ISO value of the gain."""

    seconds: float
    iso: int


@dataclass(frozen=True, eq=False)
class Frame:
    """One image, as it leaves a camera.

    Attributes:
        pixels: ``uint8 [h, w, 3]``, RGB, upright.
        captured_at: when the image was taken; always with a time zone.
        label: the class, where the camera knows it ("1": a package is in view, "0": none).
        encoded: the file's bytes, where the image was a file already.
        file_name: that file's name, without its folder.
        exposure: where the camera says it.
    """

    pixels: np.ndarray
    captured_at: datetime
    label: str | None = None
    encoded: bytes | None = None
    file_name: str | None = None
    exposure: Exposure | None = None

    @property
    def image(self) -> bytes | np.ndarray:
        """What to score: the file's bytes where they exist, otherwise the pixels."""
        return self.pixels if self.encoded is None else self.encoded


@dataclass(frozen=True, eq=False)
class Shot:
    """A look through a camera: what is scored at once, and the whole image if it is to be kept.

    Attributes:
        image: what ``prepare`` takes: a file's bytes, or RGB pixels, which may be smaller than the
            frame.
        captured_at: when it was taken; always with a time zone.
        frame: gives the whole image; only while the shot is held.
        has_own_time: whether ``captured_at`` is the image's, and not this machine's clock's.
    """

    image: bytes | np.ndarray
    captured_at: datetime
    frame: Callable[[], Frame]
    has_own_time: bool = False

    @classmethod
    def of(cls, frame: Frame) -> "Shot":
        """The shot of a camera that has no smaller stream."""
        return cls(frame.image, frame.captured_at, lambda: frame)


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

    def open(self) -> None:
        """Start the camera; raises :class:`CameraError` where it cannot be started."""
        ...

    def shot(self) -> AbstractContextManager[Shot]:
        """Look now; the camera's buffers are held until the context ends.

        Raises:
            NoNewFrameError: there is nothing that was not seen before.
            UnreadableFrameError: there is, and it cannot be read as an image.
            StalledError: the camera delivers no more.
        """
        ...

    def close(self) -> None:
        """Stop the camera; what is closed already stays so."""
        ...
