"""The camera of a Raspberry Pi, through the picamera2 library."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import Any

from edge.cameras.camera import CameraError, Exposure, Frame, Shot, StalledError
from edge.cameras.pixel_formats import as_rgb

logger = logging.getLogger(__name__)

INSTALL = "sudo apt install -y python3-picamera2"
SETTLE_SECONDS = 2.0
"""What exposure and white balance need to find the scene after the start."""

CONTINUOUS_FOCUS = {"AfMode": 2}
"""A camera that can focus does not do so by itself: libcamera starts it in manual mode."""


class Picamera2Camera:
    """The camera at a Pi's ribbon cable, or a USB camera that libcamera knows.

    A Pi's camera has two streams of each moment: ``main`` is what is kept, ``lores`` a small one
    that is scored, so that no large image is converted only to be made small again. Where
    there is one stream, or ``lores`` would be the larger one, ``main`` serves both.

    Args:
        period: time between two of :meth:`frames`; the first one comes at once.
        size: (height, width) of the frames in pixels.
        number: which camera, as ``rpicam-hello --list-cameras`` counts them.
        lores: (height, width) of what is scored; ``None`` for no second stream.
        upside_down: turns the image by 180°.
        controls: libcamera's, by name, such as ``{"ExposureTime": 20000}``.
        patience: seconds without a frame after which the camera counts as stalled; more than
            its longest exposure.
    """

    model = "picamera2"

    def __init__(
        self,
        period: timedelta = timedelta(0),
        size: tuple[int, int] = (480, 640),
        number: int = 0,
        lores: tuple[int, int] | None = (240, 320),
        upside_down: bool = False,
        controls: Mapping[str, Any] | None = None,
        patience: float = 20.0,
    ):
        self.period, self.size, self.number = period, size, number
        fits = lores is not None and lores[0] <= size[0] and lores[1] <= size[1]
        self.lores = lores if fits else None
        self.upside_down, self.controls, self.patience = upside_down, dict(controls or {}), patience
        self._camera: Any = None

    def open(self) -> None:
        """Open, configure and start the camera, and wait until it has found its exposure.

        Raises:
            CameraError: picamera2 is not installed, there is no such camera, or it is in use.
        """
        try:
            from picamera2 import Picamera2  # here, since only a Pi has it
        except ImportError as error:
            raise CameraError(f"picamera2 cannot be imported ({error}): {INSTALL}") from error
        if self.number >= len(Picamera2.global_camera_info()):
            raise CameraError(
                f"no camera number {self.number}: look which there are, rpicam-hello --list-cameras"
            )
        try:
            self._camera = Picamera2(self.number)
            self._configure(self._camera)
            self._camera.start()
        except RuntimeError as error:  # what picamera2 and libcamera raise for anything
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
        """The next frame: its ``lores`` pixels, and on demand its ``main`` ones.

        Raises:
            CameraError: the camera is not open.
            StalledError: no frame came in time.
        """
        if self._camera is None:
            raise CameraError("the camera is not open")
        with ExitStack() as held:
            try:
                request = held.enter_context(self._camera.captured_request(wait=self.patience))
            except TimeoutError as error:
                raise StalledError(
                    f"no frame within {self.patience:g} s: check the camera's cable"
                ) from error
            captured_at = datetime.now().astimezone()
            small = self._pixels(request, "lores" if self._has_lores else "main")
            exposure = _exposure(request.get_metadata())

            def frame() -> Frame:
                pixels = self._pixels(request, "main") if self._has_lores else small
                return Frame(pixels, captured_at, exposure=exposure)

            yield Shot(small, captured_at, frame)

    def frames(self, count: int | None) -> Iterator[Frame]:
        """Yield ``count`` frames, one a period; for ``None`` it goes on until it is stopped.

        Raises:
            CameraError: picamera2 is not installed, or there is no such camera.
        """
        self.open()
        try:
            begin = time.monotonic()
            number = 0
            while count is None or number < count:
                due = begin + number * self.period.total_seconds()
                time.sleep(max(due - time.monotonic(), 0))
                with self.shot() as shot:
                    frame = shot.frame()
                yield frame
                number += 1
        finally:
            self.close()

    def _configure(self, camera) -> None:
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

    def _configuration(self, camera, lores: tuple[int, int] | None) -> dict[str, Any]:
        import libcamera

        controls = CONTINUOUS_FOCUS if "AfMode" in camera.camera_controls else {}
        raw = _whole_view(camera, self.size) if _is_at_the_ribbon(camera) else {}
        return camera.create_still_configuration(
            main={"format": "BGR888", "size": _across(self.size)},
            lores=None if lores is None else {"format": "YUV420", "size": _across(lores)},
            raw=raw,
            transform=libcamera.Transform(hflip=self.upside_down, vflip=self.upside_down),
            controls=controls | self.controls,
            # the camera goes on into the second buffer while the first one is scored …
            buffer_count=2,
            # … and a frame is one of after the request, not one that has waited for a period
            queue=False,
        )

    def _pixels(self, request, name: str):
        stream = self._streams[name]
        width, height = stream["size"]
        array = request.make_array(name)
        return as_rgb(array, stream["format"], (height, width), self._limited)


def _across(size: tuple[int, int]) -> tuple[int, int]:
    """libcamera's order: (width, height)."""
    return size[1], size[0]


def _is_at_the_ribbon(camera) -> bool:
    """Whether it is one of the Pi's own cameras, as picamera2 itself decides it."""
    return "ColorFilterArrangement" in camera.camera_properties


def _whole_view(camera, size: tuple[int, int]) -> dict[str, Any]:
    """The smallest sensor mode that covers a size and sees all that the sensor sees.

    Left to itself, libcamera takes a small mode for a small image, and that of a v2 camera
    shows no more than the middle of the view.
    """
    modes = [mode for mode in camera.sensor_modes if "crop_limits" in mode]
    if not modes:
        return {}
    seen = max(_area(mode["crop_limits"][2:]) for mode in modes)
    whole = [mode for mode in modes if _area(mode["crop_limits"][2:]) >= 0.98 * seen]
    covering = [
        mode for mode in whole if mode["size"][0] >= size[1] and mode["size"][1] >= size[0]
    ] or whole
    mode = min(covering, key=lambda mode: (_area(mode["size"]), -mode["bit_depth"]))
    return {"format": str(mode["format"]), "size": mode["size"]}


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _exposure(metadata: Mapping[str, Any]) -> Exposure | None:
    """What libcamera says of one frame: microseconds and gains; USB cameras say nothing."""
    if "ExposureTime" not in metadata or "AnalogueGain" not in metadata:
        return None
    gain = metadata["AnalogueGain"] * metadata.get("DigitalGain", 1.0)
    return Exposure(metadata["ExposureTime"] / 1e6, round(100 * gain))
