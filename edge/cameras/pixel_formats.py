"""Convert the pixel formats of libcamera to RGB."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge.cameras.errors import CameraError

# libcamera names formats from the lowest bit up: "BGR888" is R, G, B in memory.
PACKED = {
    "BGR888": slice(0, 3),
    "RGB888": slice(None, None, -1),
    "XBGR8888": slice(0, 3),
    "XRGB8888": slice(2, None, -1),
    "MJPEG": slice(0, 3),  # picamera2 has decoded it
}


def buffer_to_rgb(
    array: NDArray[np.uint8], pixel_format: str, size: tuple[int, int], limited: bool = False
) -> NDArray[np.uint8]:
    """Convert a stream's buffer to RGB.

    Colour planes of half the size are enlarged bilinearly and converted as in JPEG (BT.601).

    Args:
        array: as picamera2's ``make_array`` returns it: for YUV420 and NV12
            ``uint8 [h * 3 / 2, stride]``, with the padding that the hardware adds to a row.
        pixel_format: its name in libcamera.
        size: (height, width) of the image; both even.
        limited: whether brightness goes from 16 to 235, as in video, instead of 0 to 255.

    Returns:
        ``uint8 [height, width, 3]``.

    Raises:
        CameraError: the format is not one of those of Pi and USB cameras.
    """
    height, width = size
    if pixel_format in PACKED:
        return np.ascontiguousarray(array[:height, :width, PACKED[pixel_format]])
    if pixel_format in ("YUV420", "YVU420"):
        brightness = array[:height, :width]
        planes = array[height:].reshape(2, height // 2, -1)[:, :, : width // 2]
        colours = planes if pixel_format == "YUV420" else planes[::-1]
    elif pixel_format in ("NV12", "NV21"):
        brightness = array[:height, :width]
        pairs = array[height:, :width].reshape(height // 2, width // 2, 2)
        colours = np.moveaxis(pairs if pixel_format == "NV12" else pairs[..., ::-1], 2, 0)
    elif pixel_format == "YUYV":
        brightness = array[:, :width, 0]
        colours = np.moveaxis(array[:, :width, 1].reshape(height, width // 2, 2), 2, 0)
    else:
        raise CameraError(
            f"the camera delivers {pixel_format}, which is not supported: try another size"
        )
    return _from_planes(brightness, colours, limited)


def _from_planes(
    brightness: NDArray[np.uint8], colours: NDArray[np.uint8], limited: bool
) -> NDArray[np.uint8]:
    luma = Image.fromarray(np.ascontiguousarray(brightness))
    blue, red = (
        Image.fromarray(np.ascontiguousarray(plane)).resize(luma.size, Image.Resampling.BILINEAR)
        for plane in colours
    )
    if limited:
        luma = luma.point([_clipped((v - 16) * 255 / 219) for v in range(256)])
        blue, red = (
            plane.point([_clipped((v - 128) * 255 / 224 + 128) for v in range(256)])
            for plane in (blue, red)
        )
    return np.asarray(Image.merge("YCbCr", (luma, blue, red)).convert("RGB"))


def _clipped(value: float) -> int:
    return min(max(round(value), 0), 255)
