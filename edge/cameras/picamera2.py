"""The camera of a Raspberry Pi, through the picamera2 library."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from edge.cameras.camera import CameraError, Frame

INSTALL = "sudo apt install -y python3-picamera2"
SETTLE_SECONDS = 2.0
"""What exposure and white balance need to find the scene after the start."""


class Picamera2Camera:
    """The camera at a Pi's ribbon cable, or a USB camera that libcamera knows.

    Args:
        period: time between two frames; the first one comes at once.
        size: (height, width) of the frames in pixels.
        number: which camera, as ``rpicam-hello --list-cameras`` counts them.
    """

    model = "picamera2"

    def __init__(self, period: timedelta, size: tuple[int, int] = (480, 640), number: int = 0):
        self.period, self.size, self.number = period, size, number

    def frames(self, count: int | None) -> Iterator[Frame]:
        """Yield ``count`` frames, one a period; for ``None`` it goes on until it is stopped.

        Raises:
            CameraError: picamera2 is not installed, or there is no such camera.
        """
        try:
            from picamera2 import Picamera2  # here, since only a Pi has it
        except ImportError as error:
            raise CameraError(f"picamera2 cannot be imported ({error}): {INSTALL}") from error
        if self.number >= len(Picamera2.global_camera_info()):
            raise CameraError(
                f"no camera number {self.number}: look which there are, rpicam-hello --list-cameras"
            )
        with Picamera2(self.number) as camera:
            self.model = str(camera.camera_properties.get("Model", self.model))
            height, width = self.size
            # libcamera names formats from the lowest bit up: "BGR888" is R, G, B in memory.
            main = {"format": "BGR888", "size": (width, height)}
            camera.configure(camera.create_still_configuration(main=main))
            camera.start()
            time.sleep(SETTLE_SECONDS)
            yield from self._paced(camera, count)

    def _paced(self, camera, count: int | None) -> Iterator[Frame]:
        begin = time.monotonic()
        number = 0
        while count is None or number < count:
            due = begin + number * self.period.total_seconds()
            time.sleep(max(due - time.monotonic(), 0))
            # flush: a still stream keeps an old frame in its queue, which may be a period old.
            with camera.captured_request(flush=True) as request:
                pixels = request.make_array("main")
            yield Frame(pixels, datetime.now().astimezone())
            number += 1
