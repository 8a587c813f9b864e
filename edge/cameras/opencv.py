"""Any camera that OpenCV opens: on USB (V4L2) or in the network (RTSP, HTTP)."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.cameras.camera import Camera, CameraSettings, Frame, Shot
from edge.cameras.errors import CameraError, StalledError
from edge.protocol.addresses import shown_address

INSTALL = "sudo apt install -y python3-opencv"


Wanted = Future[tuple[NDArray[np.uint8], datetime]]
"""A frame that was requested: its pixels, B, G, R, and its time."""


class OpenCVCamera(Camera):
    """A camera through OpenCV.

    A thread reads every frame and drops it unless one was requested: a camera hands out its
    frames in order, so a shot would otherwise get one from before the last pause.

    Args:
        settings: their source is a number (``0`` is ``/dev/video0``), a device, a URL or a video
            file. The camera may deliver another size than the requested one.
    """

    model = "opencv"
    description = "a number, device, URL or video file"
    source_syntax = ":SOURCE"
    source_pattern, source_help = ".+", f"name {description}"

    def __init__(self, settings: CameraSettings):
        super().__init__(settings)
        self._address = shown_address(settings.source)  # an RTSP address often has a password
        self._feed: _Feed | None = None

    def open(self) -> None:
        """Start the camera; raises :class:`CameraError` if OpenCV cannot open it."""
        try:
            import cv2
        except ImportError as error:
            raise CameraError(f"OpenCV cannot be imported ({error}): {INSTALL}") from error
        source = self.settings.source
        # an address that is malformed has a password as well
        is_network = "://" in source or ("@" in source and not os.path.exists(source))
        if is_network:
            # by FFmpeg alone: other backends print an address that they cannot open, password
            # and all
            patience = round(1000 * self.settings.stalled_seconds)
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, patience]
            limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, patience]
            capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
        else:
            capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
        if not capture.isOpened():
            capture.release()
            advice = "check address, user and password" if is_network else "v4l2-ctl --list-devices"
            raise CameraError(f"OpenCV cannot open {self._address!r}: {advice}")
        width, height = self.settings.size
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        self._feed = _Feed(capture)

    @contextmanager
    def shot(self) -> Iterator[Shot]:
        """Wait for the next frame.

        Raises:
            CameraError: the camera is not open.
            StalledError: no frame came in time, or the stream has ended.
        """
        if self._feed is None:
            raise CameraError("the camera is not open")
        patience = self.settings.stalled_seconds
        try:
            pixels, captured_at = self._feed.next(patience)
        except TimeoutError as error:
            why = f"no frame from {self._address} within {patience:g} s"
            raise StalledError(why) from error
        except EOFError as error:
            raise StalledError(f"the stream of {self._address} has ended") from error
        yield Shot.of(Frame(np.ascontiguousarray(pixels[..., ::-1]), captured_at))

    def close(self) -> None:
        """Stop the camera."""
        if self._feed is not None:
            feed, self._feed = self._feed, None
            feed.stop(self.settings.stalled_seconds)


class _Feed:
    """An open camera with a thread of its own, so that a thread that hangs is left with it.

    Args:
        capture: OpenCV's; from now on only that thread uses it, and releases it.
    """

    def __init__(self, capture: Any):
        self.capture, self._stop = capture, threading.Event()
        self._ended = threading.Event()
        self._wanted: Wanted | None = None
        self._thread = threading.Thread(target=self._drain, name="drain", daemon=True)
        self._thread.start()

    def next(self, patience: float) -> tuple[NDArray[np.uint8], datetime]:
        """Return the next frame (B, G, R) and its time.

        Raises:
            TimeoutError: none came within ``patience`` seconds.
            EOFError: none will come.
        """
        wanted: Wanted = Future()
        self._wanted = wanted
        if self._ended.is_set():
            raise EOFError
        return wanted.result(patience)

    def stop(self, patience: float) -> None:
        """Ask the thread to end, and wait for that up to ``patience`` seconds."""
        self._stop.set()
        self._thread.join(patience)

    def _drain(self) -> None:
        try:
            while not self._stop.is_set() and self.capture.grab():
                wanted = self._wanted
                if wanted and not wanted.done():
                    good, pixels = self.capture.retrieve()
                    if good:
                        wanted.set_result((pixels, datetime.now().astimezone()))
        finally:
            self.capture.release()  # by the thread that uses it
            self._ended.set()
            if (wanted := self._wanted) and not wanted.done():
                wanted.set_exception(EOFError())
