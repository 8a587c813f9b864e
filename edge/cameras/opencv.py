"""Any camera that OpenCV opens: on USB (V4L2) or in the network (RTSP, HTTP)."""

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
from edge.protocol.addresses import without_userinfo

INSTALL = "sudo apt install -y python3-opencv"


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
        self._address = without_userinfo(settings.source)  # an RTSP address often has a password
        self._feed: _Feed | None = None

    def open(self) -> None:
        """Start the camera; raises :class:`CameraError` if OpenCV cannot open it."""
        try:
            import cv2
        except ImportError as error:
            raise CameraError(f"OpenCV cannot be imported ({error}): {INSTALL}") from error
        source = self.settings.source
        capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
        if not capture.isOpened():
            capture.release()
            raise CameraError(f"OpenCV cannot open {self._address!r}: v4l2-ctl --list-devices")
        width, height = self.settings.size
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        self._feed = _Feed(capture)

    @contextmanager
    def shot(self) -> Iterator[Shot]:
        """Wait for the next frame.

        Raises:
            CameraError: the camera is not open.
            StalledError: no frame came in time.
        """
        if self._feed is None:
            raise CameraError("the camera is not open")
        patience = self.settings.stalled_seconds
        try:
            pixels, captured_at = self._feed.next(patience)
        except TimeoutError as error:
            why = f"no frame from {self._address} within {patience:g} s"
            raise StalledError(why) from error
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
        self._wanted: Future[tuple[NDArray[np.uint8], datetime]] | None = None
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def next(self, patience: float) -> tuple[NDArray[np.uint8], datetime]:
        """Return the next frame (B, G, R) and its time; TimeoutError after ``patience`` seconds."""
        self._wanted = Future()
        return self._wanted.result(patience)

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
