"""Privacy masks: areas of an image that are black before anything keeps it.

The device blackens its frames as they are taken, and ingest the files that others send.
"""

import io
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import IFD
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from edge.inference.image import EXIF_DAMAGE, as_rgb, open_image, orientation_of
from edge.inference.region import OTHER_DEVICES, Region

ALIGNED = 16
"""Pixels of JPEG's blocks: an area grows to whole ones, which are then exactly of one colour."""

BLED = 2
"""Pixels at the edge of an area into which a JPEG's neighbouring colours bleed."""

DARK = 16
"""Of 255: a coarse JPEG makes of black a grey of up to this."""

KEPT = ("icc_profile", "dpi", "comment")
KEPT_EXIF = (0x010E, 0x010F, 0x0110, 0x0112, 0x0131, 0x0132)
KEPT_DETAILS = (0x829A, 0x8827, 0x9003, 0x9004, 0x9010, 0x9011, 0x9012)
"""Camera, orientation, exposure and times. Thumbnails and maker's notes show what was there."""

JPEG_END = b"\xff\xd9"
"""Ends each image in a JPEG file; its coded pixels never have it."""

JFIF_BYTES = 14
"""Of a JFIF header without a thumbnail."""

PNG_MODES = ("1", "L", "LA", "RGB", "RGBA", "I;16")


def masks_of(masks: Mapping[str, list[Region]], device: str | None) -> list[Region]:
    """Return the masks for images of a device, or of an unknown one."""
    return masks.get(device or OTHER_DEVICES, masks.get(OTHER_DEVICES, []))


def blacken_pixels(pixels: NDArray[np.uint8], masks: Iterable[Region]) -> NDArray[np.uint8]:
    """Return ``uint8 [h, w, 3]`` pixels of an upright image, black where the masks are."""
    pixels = pixels.copy()
    for left, top, right, bottom in _boxes((pixels.shape[1], pixels.shape[0]), masks):
        pixels[top:bottom, left:right] = 0
    return pixels


def blacken_file(content: bytes, masks: Iterable[Region]) -> bytes:
    """Return an encoded image that is black where the masks are.

    A JPEG keeps its quality, and any other format becomes a PNG. Of several images in a file the
    first one is kept; of EXIF what says nothing of the pixels. A JPEG that is black there already,
    and has nothing else to show, stays as it is, byte for byte.

    Args:
        content: the file.
        masks: parts of the upright image.

    Raises:
        edge.inference.errors.UnreadableError: it is damaged.
    """
    with open_image(content) as image:
        image.load()
        boxes = list(_boxes(image.size, masks, orientation_of(image)))
        if (
            isinstance(image, JpegImageFile)
            and _is_plain(image, content)
            and _is_black(image, boxes)
        ):
            return content
        return _encode(image, boxes)


def _encode(image: Image.Image, boxes: list[tuple[int, int, int, int]]) -> bytes:
    keep: dict[str, Any] = {name: image.info[name] for name in KEPT if name in image.info}
    keep["exif"], file = _exif(image), io.BytesIO()
    is_jpeg = isinstance(image, JpegImageFile)
    if isinstance(image, JpegImageFile):  # also an MPO is one
        keep |= {"qtables": image.quantization, "subsampling": get_sampling(image)}
    elif image.mode not in PNG_MODES:
        image = as_rgb(image)
    image.info = {}  # which Pillow would write as well
    for box in boxes:
        image.paste((0, 0, 0, 255) if image.mode == "CMYK" else 0, box)
    image.save(file, "JPEG" if is_jpeg else "PNG", **keep)
    return file.getvalue()


def _boxes(
    size: tuple[int, int], masks: Iterable[Region], orientation: int = 1
) -> Iterator[tuple[int, int, int, int]]:
    """Yield the pixels of an image as it is stored that the masks cover: left, top, right, bottom.

    Args:
        size: (width, height) as it is stored.
        masks: of the upright image.
        orientation: as EXIF has it.
    """
    for mask in masks:
        across, down = (mask.x, mask.width), (mask.y, mask.height)
        if orientation >= 5:  # it lies on its side
            across, down = down, across
        left, right = _aligned(*across, size[0], orientation in (2, 3, 7, 8))
        top, bottom = _aligned(*down, size[1], orientation in (3, 4, 6, 7))
        yield left, top, right, bottom


def _aligned(start: float, length: float, size: int, from_end: bool) -> tuple[int, int]:
    """Return the first pixel of a part of a side of so many, and the one after its last."""
    start = 1 - start - length if from_end else start
    first = max(0, math.floor(start * size / ALIGNED)) * ALIGNED
    return first, min(size, math.ceil((start + length) * size / ALIGNED) * ALIGNED)


def _is_black(image: Image.Image, boxes: list[tuple[int, int, int, int]]) -> bool:
    """Return whether each area has one dark colour, but for what bleeds into its edge."""
    if image.mode not in ("L", "RGB"):
        return False
    for left, top, right, bottom in boxes:
        box = left + BLED, top + BLED, right - BLED, bottom - BLED
        if box[0] >= box[2] or box[1] >= box[3]:
            return False
        inside = np.asarray(image.crop(box))
        if inside.max() > DARK or (inside != inside[0, 0]).any():
            return False
    return True


def _is_plain(image: JpegImageFile, content: bytes) -> bool:
    """Return whether a JPEG has nothing, before or after its end, in which an image could be."""
    if image.format != "JPEG" or content.find(JPEG_END) != len(content) - len(JPEG_END):
        return False
    kept = {"APP0": b"JFIF", "APP1": b"Exif", "APP2": b"ICC_PROFILE", "COM": b"", "APP14": b"Adobe"}
    if not all(name in kept and data.startswith(kept[name]) for name, data in image.applist):
        return False
    if any(name == "APP0" and len(data) > JFIF_BYTES for name, data in image.applist):
        return False
    with suppress(*EXIF_DAMAGE):
        exif = image.getexif()
        others = {*exif} - {*KEPT_EXIF, IFD.Exif, IFD.GPSInfo}
        others |= {*exif.get_ifd(IFD.IFD1)} | {*exif.get_ifd(IFD.Exif)} - {*KEPT_DETAILS}
        return not others
    return False


def _exif(image: Image.Image) -> Image.Exif:
    """Return what is kept of an image's EXIF, as far as it can be read."""
    kept = Image.Exif()
    with suppress(*EXIF_DAMAGE):
        exif = image.getexif()
        kept.update({tag: exif[tag] for tag in KEPT_EXIF if tag in exif})
        for part, tags in ((IFD.Exif, KEPT_DETAILS), (IFD.GPSInfo, range(32))):
            details = exif.get_ifd(part)
            kept.get_ifd(part).update({tag: details[tag] for tag in tags if tag in details})
    return kept
