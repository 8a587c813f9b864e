"""From an image to the network's input: one way, in training, on Spark and on the device.

Not in ``image``, which ingest reads too: another way to prepare asks for no new ingest.
"""

import math
import os

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge.inference.errors import UnreadableError
from edge.inference.image import DRAFTED, MAX_BYTES, as_rgb, open_image, orientation_of, upright
from edge.inference.record import CROP, SQUASH
from edge.inference.region import WHOLE, Region

PREPARE_VERSION = "1"
"""Changes whenever :func:`prepare` computes other pixels: caches and models carry it."""

ImageSource = bytes | str | os.PathLike[str] | NDArray[np.uint8]
"""An encoded image as bytes, the path of one, or ``uint8 [h, w, 3]`` RGB pixels of a camera."""


def prepare(
    image: ImageSource, size: tuple[int, int], resizing: str = SQUASH, region: Region = WHOLE
) -> NDArray[np.uint8]:
    """Turn an image into the network's input.

    A JPEG is decoded at the smallest of its DCT scales (1, 1/2, 1/4, 1/8) at which the region
    still covers ``size``, which skips most of the work for a large frame; the EXIF orientation is
    applied; the image is converted to RGB; its region is resized (bilinear with antialiasing).

    Args:
        image: what is to be scored. Pixels of the wanted size, as from a camera's second
            stream, are returned as they are, without a copy, if the region is all of them.
        size: (height, width) in pixels.
        resizing: ``squash`` resizes all of the region, and its aspect ratio is not kept; ``crop``
            the largest part around its centre that has the aspect ratio of ``size``.
        region: the part of the upright image that counts.

    Returns:
        ``uint8 [height, width, 3]``, RGB, 0–255.

    Raises:
        UnreadableError: the image is damaged or too large, or the array is of another shape.
        OSError: the path cannot be read.

    >>> prepare(np.zeros((480, 640, 3), np.uint8), (128, 128)).shape
    (128, 128, 3)
    """
    if isinstance(image, np.ndarray):
        return _prepare_pixels(image, size, resizing, region)
    if not isinstance(image, bytes):
        with open(image, "rb") as file:
            image = file.read(MAX_BYTES + 1)
    with open_image(image) as opened:
        if opened.format not in DRAFTED:
            # A PNG is decoded to look for its EXIF: here an error of its pixels is none of EXIF.
            opened.load()
        # the wanted size as the file stores it: some lie on their side
        least = math.ceil(size[0] / region.height), math.ceil(size[1] / region.width)
        opened.draft("RGB", least if orientation_of(opened) >= 5 else least[::-1])
        return _resize(as_rgb(upright(opened)), size, resizing, region)


def _prepare_pixels(
    pixels: NDArray[np.uint8], size: tuple[int, int], resizing: str, region: Region
) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        shape = f"expected uint8 [h, w, 3], got {pixels.dtype} {list(pixels.shape)}"
        raise UnreadableError("not an image", shape)
    if pixels.shape[:2] == size and region == WHOLE:
        return np.ascontiguousarray(pixels)
    try:
        return _resize(Image.fromarray(pixels), size, resizing, region)
    except MemoryError as error:
        raise UnreadableError("too large", f"{list(pixels.shape)} pixels") from error


def _resize(
    image: Image.Image, size: tuple[int, int], resizing: str, region: Region
) -> NDArray[np.uint8]:
    box = find_box(image.size, size, resizing, region)
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR, box))


def find_box(
    image: tuple[float, float], size: tuple[int, int], resizing: str, region: Region
) -> tuple[float, float, float, float]:
    """Return the part of an image that becomes the network's input: left, top, right, bottom.

    Args:
        image: (width, height) of the upright image, pixels.
        size, resizing, region: as of :func:`prepare`.
    """
    width, height = image
    across, down = region.width * width, region.height * height
    left, top = region.x * width, region.y * height
    if resizing == CROP:
        scale = min(across / size[1], down / size[0])
        # rounding must not make the part larger than the region
        part = min(scale * size[1], across), min(scale * size[0], down)
        left, top = left + (across - part[0]) / 2, top + (down - part[1]) / 2
        across, down = part
    return left, top, min(left + across, width), min(top + down, height)
