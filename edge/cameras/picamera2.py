"""The camera of a Raspberry Pi, through the picamera2 library."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.cameras.camera import Camera, CameraSettings, Exposure, Frame, Shot
from edge.cameras.errors import CameraError, StalledError
from edge.cameras.pixel_formats import buffer_to_rgb
from edge.cameras.sensor_modes import full_view_mode

logger = logging.getLogger(__name__)

INSTALL = "sudo apt install -y python3-picamera2"
SETTLE_SECONDS = 2.0
"""Time that exposure and white balance need to settle after the start."""

CONTINUOUS_FOCUS = {"AfMode": 2}
"""libcamera starts a camera that can focus in manual mode."""


class Picamera2Camera(Camera):
    """The camera at a Pi's ribbon cable, or a USB camera that libcamera knows.

    A Pi's camera has two streams of each moment: ``main`` is kept, and the smaller ``lores`` is
    scored, so that no large image has to be resized. If there is only one stream, or ``lores``
    would be the larger one, ``main`` serves both.

    Args:
        settings: their source is the camera's number in ``rpicam-hello --list-cameras``. The time
            after which it counts as stalled has to be longer than its longest exposure.
    """

    model = "picamera2"
    description = "a Raspberry Pi's own"
    source_syntax, source_pattern = "[:NUMBER]", "[0-9]*"
    source_help = "for picamera2 it is a camera's number (rpicam-hello --list-cameras)"
    default_count = 1

    def __init__(self, settings: CameraSettings):
        super().__init__(settings)
        self.period, self.number = settings.period, int(settings.source or 0)
        (width, height), scored = settings.size, settings.scored_size
        self.lores = scored if scored[0] <= width and scored[1] <= height else None
        self._camera: Any = None

    def open(self) -> None:
        """Open, configure and start the camera, and wait until its exposure has settled.

        Raises:
            CameraError: picamera2 is not installed, there is no such camera, or it is in use.
        """
        try:
            from picamera2 import Picamera2  # here, since only a Pi has it
        except ImportError as error:
            raise CameraError(f"picamera2 cannot be imported ({error}): {INSTALL}") from error
        if self.number >= len(Picamera2.global_camera_info()):
            why = f"no camera number {self.number}: list the cameras"
            raise CameraError(f"{why}, rpicam-hello --list-cameras")
        try:
            self._camera = Picamera2(self.number)
            self._configure(self._camera)
            self._camera.start()
        except RuntimeError as error:  # picamera2 and libcamera raise it for any failure
            self.close()
            raise CameraError(
                f"camera number {self.number} does not start ({error}): end other programs that "
                "use it, and check its size and controls"
            ) from error
        self.model = str(self._camera.camera_properties.get("Model", type(self).model))
        time.sleep(SETTLE_SECONDS)

    def close(self) -> None:
        """Stop and release the camera."""
        if self._camera is not None:
            camera, self._camera = self._camera, None
            camera.cancel_all_and_flush()  # a request that timed out stays in its queue
            camera.close()

    @contextmanager
    def shot(self) -> Iterator[Shot]:
        """Wait for the next frame: its ``lores`` pixels, and on request its ``main`` ones.

        Raises:
            StalledError: no frame came in time.
        """
        patience = self.settings.stalled_seconds
        with ExitStack() as held:
            try:
                request = held.enter_context(self._camera.captured_request(wait=patience))
            except TimeoutError as error:
                why = f"no frame within {patience:g} s: check the camera's cable"
                raise StalledError(why) from error
            captured_at = datetime.now().astimezone()
            small = self._pixels(request, "lores" if self._has_lores else "main")
            exposure = _exposure(request.get_metadata())

            def frame() -> Frame:
                pixels = self._pixels(request, "main") if self._has_lores else small
                return Frame(pixels, captured_at, exposure=exposure)

            yield Shot(small, captured_at, frame)

    def _configure(self, camera: Any) -> None:
        configuration = self._configuration(camera, self.lores)
        try:
            camera.configure(configuration)
        except (RuntimeError, IndexError):
            if self.lores is None:
                raise
            logger.info("the camera has one stream: it is scored at full size")
            camera.configure(self._configuration(camera, None))
        self._streams = camera.camera_configuration()
        self._has_lores = self._streams["lores"] is not None
        colours = getattr(self._streams["colour_space"], "range", None)
        self._limited = getattr(colours, "name", None) == "Limited"

    def _configuration(self, camera: Any, lores: tuple[int, int] | None) -> Any:
        import libcamera

        turned = self.settings.upside_down
        controls = CONTINUOUS_FOCUS if "AfMode" in camera.camera_controls else {}
        # picamera2's own criterion of a camera at the ribbon cable; others have no sensor modes
        is_pi_camera = "ColorFilterArrangement" in camera.camera_properties
        raw = full_view_mode(camera.sensor_modes, self.settings.size) if is_pi_camera else {}
        return camera.create_still_configuration(
            main={"format": "BGR888", "size": self.settings.size},
            lores=None if lores is None else {"format": "YUV420", "size": lores},
            raw=raw,
            transform=libcamera.Transform(hflip=turned, vflip=turned),
            controls={**controls, **self.settings.controls},
            buffer_count=2,  # the camera fills the second one while the first is scored
            queue=False,  # a frame from after the request, not one that has waited
        )

    def _pixels(self, request: Any, name: str) -> NDArray[np.uint8]:
        stream = self._streams[name]
        size = stream["size"][::-1]
        return buffer_to_rgb(request.make_array(name), stream["format"], size, self._limited)


def _exposure(metadata: Mapping[str, Any]) -> Exposure | None:
    """Return a frame's exposure from libcamera's metadata, which USB cameras lack."""
    if "ExposureTime" not in metadata or "AnalogueGain" not in metadata:
        return None
    gain = metadata["AnalogueGain"] * metadata.get("DigitalGain", 1.0)
    return Exposure(metadata["ExposureTime"] / 1e6, round(100 * gain))
