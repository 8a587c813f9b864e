"""A stand-in that has no more than picamera2 0.3.38 has, and refuses what that refuses.

Its cameras see a scene of two colours, in the format that a stream requests or, as a USB camera
does, in another one.
"""

import contextlib
import types

import numpy as np
from PIL import Image

STREAM_KEYS = {"format", "size", "stride", "preserve_ar"}
RAW_KEYS = STREAM_KEYS | {"bit_depth", "crop_limits", "exposure_limits", "fps", "unpacked"}
RGB_FORMATS = {"BGR888", "RGB888", "XBGR8888", "XRGB8888"}
YUV_FORMATS = {"NV21", "NV12", "YUV420", "YVU420", "YVYU", "YUYV", "UYVY", "VYUY"}
CONTROLS = {"ExposureTime", "AnalogueGain", "FrameDurationLimits", "AfMode", "ScalerCrop"}
SCENE = (200, 120, 40)
WHOLE, MIDDLE = (0, 0, 4608, 2592), (768, 432, 3072, 1728)


def pattern(height: int, width: int) -> np.ndarray:
    """What a camera sees: ``uint8 [h, w, 3]``, one colour above another."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2], pixels[height // 2 :] = SCENE, SCENE[::-1]
    return pixels


def encoded(pixels: np.ndarray, pixel_format: str, stride: int) -> np.ndarray:
    """Pixels in a format of libcamera, as ``make_array`` returns them."""
    height, width, _ = pixels.shape
    orders = {"BGR888": [0, 1, 2], "RGB888": [2, 1, 0]}
    if pixel_format in orders:
        return np.ascontiguousarray(pixels[..., orders[pixel_format]])
    if pixel_format == "MJPEG":
        return pixels.copy()
    if pixel_format in ("XBGR8888", "XRGB8888"):
        order = [0, 1, 2, 0] if pixel_format == "XBGR8888" else [2, 1, 0, 0]
        return np.ascontiguousarray(pixels[..., order])
    y, u, v = np.moveaxis(np.asarray(Image.fromarray(pixels).convert("YCbCr")), 2, 0)
    if pixel_format == "YUYV":
        chroma = np.stack([u[:, ::2], v[:, ::2]], 2).reshape(height, width)
        return np.stack([y, chroma], 2)
    u, v = u[::2, ::2], v[::2, ::2]
    if pixel_format in ("NV12", "NV21"):
        pairs = np.stack([u, v] if pixel_format == "NV12" else [v, u], 2)
        return np.concatenate([y, pairs.reshape(height // 2, width)])
    padded = np.full((height * 3 // 2, stride), 255, np.uint8)  # the padding shows where it leaks
    padded[:height, :width] = y
    planes = padded[height:].reshape(2, height // 2, stride // 2)
    planes[:, :, : width // 2] = [u, v] if pixel_format == "YUV420" else [v, u]
    return padded


class Picamera2:
    """Set the class's attributes to get another camera, or faults."""

    at_the_ribbon = True
    gives_instead: str | None = None
    """The format that the camera gives, whatever is asked for."""
    stalls_after: int | None = None
    """Frames after which no more comes until it is opened again."""
    open_cameras = 0
    closed = 0

    def __init__(self, camera_num=0, verbose_console=None, tuning=None, allocator=None):
        if camera_num >= len(self.global_camera_info()):
            raise RuntimeError(f"No camera number {camera_num} found")
        if Picamera2.open_cameras:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        Picamera2.open_cameras += 1
        self.config, self.started, self.held, self.taken = None, False, 0, 0
        self.jobs = 0

    @staticmethod
    def global_camera_info():
        return [{"Model": "imx708", "Location": 2, "Rotation": 180, "Id": "/base/i2c", "Num": 0}]

    @property
    def camera_properties(self):
        properties = {"Model": "imx708", "PixelArraySize": (4608, 2592)}
        return properties | ({"ColorFilterArrangement": 2} if self.at_the_ribbon else {})

    @property
    def camera_controls(self):
        return dict.fromkeys(CONTROLS, (0, 1, 0)) if self.at_the_ribbon else {}

    @property
    def sensor_modes(self):
        assert self.at_the_ribbon, "the real one has nothing to say of others"
        sizes = ((1536, 864), MIDDLE), ((2304, 1296), WHOLE), ((4608, 2592), WHOLE)
        return [
            {"format": "SRGGB10_CSI2P", "unpacked": "SRGGB10", "bit_depth": 10, "size": size}
            | {"fps": 30.0, "crop_limits": crop, "exposure_limits": (9, 77208384, 20000)}
            for size, crop in sizes
        ]

    def create_still_configuration(
        self,
        main={},  # noqa: B006
        lores=None,
        raw={},  # noqa: B006
        transform=None,
        colour_space=None,
        buffer_count=1,
        controls={},  # noqa: B006
        display=None,
        encode=None,
        queue=True,
        sensor={},  # noqa: B006
        use_case="still",
    ):
        for name, stream, keys in (
            *(("main", main, STREAM_KEYS), ("lores", lores, STREAM_KEYS)),
            ("raw", raw, RAW_KEYS),
        ):
            if stream and set(stream) - keys:
                raise ValueError(f"Bad key in {name}: valid stream configuration keys are {keys}")
        assert isinstance(transform, Transform | None)
        return {
            "main": _aligned({"format": "BGR888", "size": (4608, 2592)} | main),
            "lores": None if lores is None else _aligned({"format": "YUV420"} | lores),
            "raw": raw if self.at_the_ribbon else None,
            "colour_space": types.SimpleNamespace(range=types.SimpleNamespace(name="Full")),
            "transform": transform,
            "buffer_count": buffer_count,
            "queue": queue,
            "controls": controls,
        }

    def configure(self, camera_config=None):
        assert not self.started
        main, lores = camera_config["main"], camera_config["lores"]
        for stream in (main, lores):
            if stream and stream["format"] not in RGB_FORMATS | YUV_FORMATS | {"MJPEG"}:
                raise RuntimeError(f"Bad format {stream['format']}")
        if lores is not None:
            self._require_lores(main, lores)
        if self.gives_instead:
            main["format"] = self.gives_instead
        for stream in (main, lores):
            if stream:
                stream["stride"] = -(-stream["size"][0] // 64) * 64
        for name in camera_config["controls"]:
            if name not in self.camera_controls:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        self.config = camera_config

    def _require_lores(self, main, lores):
        if any(small > large for small, large in zip(lores["size"], main["size"], strict=True)):
            raise RuntimeError("lores stream dimensions may not exceed main stream")
        if lores["format"] not in YUV_FORMATS:
            raise RuntimeError("lores stream must be YUV")
        if not self.at_the_ribbon:
            raise IndexError("vector::_M_range_check: __n (which is 1) >= this->size()")

    def camera_configuration(self):
        return self.config

    def start(self, config=None, show_preview=False):
        assert self.config is not None
        self.started = True

    def capture_request(self, wait=None, signal_function=None, flush=None):
        assert self.started and self.held < self.config["buffer_count"]
        assert flush is None or self.at_the_ribbon, "KeyError: 'ExposureTime'"
        if self.stalls_after is not None and self.taken >= self.stalls_after:
            assert isinstance(wait, int | float) and wait is not True, "it would wait for ever"
            self.jobs += 1
            raise TimeoutError
        self.held, self.taken = self.held + 1, self.taken + 1
        return CompletedRequest(self)

    @contextlib.contextmanager
    def captured_request(self, wait=None, flush=None):
        request = self.capture_request(wait=wait, flush=flush)
        try:
            yield request
        finally:
            request.release()

    def cancel_all_and_flush(self):
        self.jobs = 0

    def close(self):
        assert self.held == 0 and self.jobs == 0
        Picamera2.closed += 1
        Picamera2.open_cameras -= 1
        self.started = False


class CompletedRequest:
    """One moment of the streams that are configured; of no use once it is released."""

    def __init__(self, camera):
        self.camera, self.released = camera, False

    def release(self):
        assert not self.released
        self.released = True
        self.camera.held -= 1

    def get_metadata(self):
        assert not self.released
        if not self.camera.at_the_ribbon:
            return {"SensorTimestamp": 1}
        return {"SensorTimestamp": 1, "ExposureTime": 20000, "AnalogueGain": 2.0, "DigitalGain": 1}

    def make_array(self, name):
        assert not self.released
        stream = self.camera.config.get(name)
        if stream is None:
            raise RuntimeError(f"Stream {name!r} is not defined")
        width, height = stream["size"]
        return encoded(pattern(height, width), stream["format"], stream["stride"])


class Transform:
    def __init__(self, rotation=0, hflip=False, vflip=False, transpose=False):
        self.hflip, self.vflip = hflip, vflip


def _aligned(stream):
    width, height = stream["size"]
    return stream | {"size": (width - width % 2, height - height % 2)}
