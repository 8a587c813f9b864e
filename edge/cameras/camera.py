"""The interface of every camera: it yields frames, or takes one shot on request."""

import itertools
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge.files.settings_file import NOT_IN_FILES, number_within
from edge.inference.region import Region
from edge.protocol.privacy import blacken_file, blacken_pixels

FrameImage = bytes | NDArray[np.uint8]
"""An image to score: a file's bytes, or ``uint8 [h, w, 3]`` RGB pixels."""


@dataclass(frozen=True)
class Exposure:
    """The exposure of an image: seconds, and the gain as an ISO value."""

    seconds: float
    iso: int


@dataclass(frozen=True, eq=False)
class Frame:
    """One image, as it leaves a camera.

    Attributes:
        source: ``uint8 [h, w, 3]``, RGB, upright; or what returns that once it is asked for.
        captured_at: when the image was taken; always with a time zone.
        label: the class, if the camera knows it ("1": a package is in view, "0": none).
        encoded: the file's bytes, if the image was already a file.
        file_name: that file's name, without its folder.
        exposure: if the camera reports it.
    """

    source: NDArray[np.uint8] | Callable[[], NDArray[np.uint8]]
    captured_at: datetime
    label: str | None = None
    encoded: bytes | None = None
    file_name: str | None = None
    exposure: Exposure | None = None

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """The pixels, decoded if they are asked for; raises :class:`CameraError` if they cannot."""
        return self.source() if callable(self.source) else self.source

    @property
    def image(self) -> FrameImage:
        """What is scored: the file's bytes if there are any, otherwise the pixels."""
        return self.pixels if self.encoded is None else self.encoded

    def blackened(self, masks: list[Region]) -> "Frame":
        """Return the frame with black areas; raises ``UnreadableError`` if its file is damaged."""
        encoded = None if self.encoded is None else blacken_file(self.encoded, masks)
        return replace(self, source=lambda: blacken_pixels(self.pixels, masks), encoded=encoded)


@dataclass(frozen=True, eq=False)
class Shot:
    """One moment of a camera: the image to score at once, and the full frame to keep.

    Attributes:
        image: to score; its pixels may be fewer than the frame's.
        captured_at: when it was taken; always with a time zone.
        frame: returns the full frame; only valid while the shot is held.
        has_own_time: whether ``captured_at`` comes from the image, not from this machine's clock.
    """

    image: FrameImage
    captured_at: datetime
    frame: Callable[[], Frame]
    has_own_time: bool = False

    @classmethod
    def of(cls, frame: Frame) -> "Shot":
        """Make the shot of a camera that has no smaller stream."""
        return cls(frame.image, frame.captured_at, lambda: frame)

    def blackened(self, masks: list[Region]) -> "Shot":
        """Return the shot with black areas; raises ``UnreadableError`` if its file is damaged."""
        if not masks:
            return self
        image: FrameImage
        if isinstance(self.image, bytes):
            image = blacken_file(self.image, masks)
        else:
            image = blacken_pixels(self.image, masks)
        return replace(self, image=image, frame=lambda: self.frame().blackened(masks))


@dataclass(frozen=True)
class CameraSettings:
    """The settings of all cameras; each camera reads those that it knows.

    Attributes:
        kind: of the table :data:`edge.cameras.kinds.CAMERAS`.
        source: which camera, device, address or folder; "" for the camera's default.
        size: (width, height) of the frames in pixels.
        scored_size: (width, height) of the smaller stream that is scored, if there is one.
        upside_down: whether to turn the image by 180°.
        controls: libcamera's controls, by name.
        privacy_masks: parts of the upright image that the agent blackens before anything else.
        stalled_seconds: seconds without a frame after which the camera counts as stalled.
        seed: of the simulated porch.
        period: time between two frames of :meth:`Camera.frames`.
        start: capture time of the first simulated frame.
    """

    kind: str = "picamera2"
    source: str = "0"
    size: tuple[int, int] = number_within((640, 480), 16, 10_000)
    scored_size: tuple[int, int] = number_within((320, 240), 16, 10_000)
    upside_down: bool = False
    controls: dict[str, Any] = field(default_factory=dict)
    privacy_masks: list[Region] = field(default_factory=list)
    stalled_seconds: float = number_within(20.0, 0.1, 3600)
    seed: int = number_within(1, least=0)
    period: timedelta = field(default=timedelta(0), metadata=NOT_IN_FILES)
    start: datetime = field(
        default_factory=lambda: datetime.now().astimezone(), metadata=NOT_IN_FILES
    )


class Camera(ABC):
    """A source of frames; its class stands in the table :data:`edge.cameras.kinds.CAMERAS`.

    Args:
        settings: whose source has no :meth:`source_error`.

    Attributes:
        model: the camera's model, as it goes into EXIF.
        description: of the kind, for the command line's help.
        source_syntax: how the command line appends the source, such as ``:PATH``.
        source_pattern: a regular expression for sources.
        source_help: what to do about another source.
        default_count: how many frames ``capture`` takes by default; ``None`` for all.
        period: time between two of :meth:`frames`.
    """

    model: str
    description: ClassVar[str]
    source_syntax: ClassVar[str] = ""
    source_pattern: ClassVar[str] = ".*"
    source_help: ClassVar[str] = ""
    default_count: ClassVar[int | None] = None
    period: timedelta = timedelta(0)

    def __init__(self, settings: CameraSettings):
        self.settings = settings

    @classmethod
    def source_error(cls, source: str) -> str | None:
        """Return what is wrong with a source, or None."""
        return None if re.fullmatch(cls.source_pattern, source, re.DOTALL) else cls.source_help

    def frames(self, count: int | None) -> Iterator[Frame]:
        """Open the camera, yield ``count`` frames, one a period, and close it.

        Args:
            count: ``None`` for as many as the camera has.

        Raises:
            CameraError: the camera cannot deliver.
        """
        self.open()
        try:
            begin = time.monotonic()
            for number in itertools.count() if count is None else range(count):
                due = begin + number * self.period.total_seconds()
                time.sleep(max(due - time.monotonic(), 0))
                with self.shot() as shot:
                    frame = shot.frame()
                yield frame
        finally:
            self.close()

    @abstractmethod
    def open(self) -> None:
        """Start the camera; raises :class:`CameraError` if it does not start."""

    @abstractmethod
    def shot(self) -> AbstractContextManager[Shot]:
        """Take a shot; the camera's buffers are held until the context ends.

        Raises:
            NoNewFrameError: there is no frame that was not seen before.
            UnreadableFrameError: there is one, but it cannot be read as an image.
            StalledError: the camera has stopped delivering.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop the camera; closing it twice does no harm."""
