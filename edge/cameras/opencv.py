"""Any camera that OpenCV opens: on USB (V4L2) or in the network (RTSP, HTTP)."""

import threading
from collections.abc import Iterator
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
        newest = self._feed.next(patience)
        if newest is None:
            raise StalledError(f"no frame from {self._address} within {patience:g} s")
        pixels, captured_at = newest
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
        self.capture = capture
        self._stop, self._wanted = threading.Event(), threading.Event()
        self._arrived = threading.Condition()
        self._newest: tuple[NDArray[np.uint8], datetime] | None = None
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def next(self, patience: float) -> tuple[NDArray[np.uint8], datetime] | None:
        """Return the next frame (B, G, R) and its time; None if none comes within ``patience``."""
        with self._arrived:
            self._newest = None
            self._wanted.set()
            self._arrived.wait_for(lambda: self._newest is not None, patience)
            return self._newest

    def stop(self, patience: float) -> None:
        """Ask the thread to end, and wait for that up to ``patience`` seconds."""
        self._stop.set()
        self._thread.join(patience)

    def _drain(self) -> None:
        try:
            while not self._stop.is_set():
                if not self.capture.grab():
                    return  # next() gives up when its patience ends
                if self._wanted.is_set():
                    good, pixels = self.capture.retrieve()
                    if not good:
                        continue
                    self._wanted.clear()
                    with self._arrived:
                        self._newest = pixels, datetime.now().astimezone()
                        self._arrived.notify_all()
        finally:
            self.capture.release()  # by the thread that uses it
