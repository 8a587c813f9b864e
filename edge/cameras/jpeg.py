"""A frame as a JPEG file: its pixels are encoded once; EXIF (camera, time) may follow later."""

import io
from datetime import datetime
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from edge.cameras.camera import Exposure, Frame, FrameImage
from edge.cameras.errors import CameraError
from edge.inference.errors import UnreadableError
from edge.inference.image import as_rgb, open_image, upright

QUALITY = 90
LONGEST_SIDE = 65_500
"""Pixels of an image that libjpeg encodes."""

MAKE, SOFTWARE = "RaspberryPi", "lakehouse-vision edge"
START, APP1 = b"\xff\xd8", b"\xff\xe1"


def encode_jpeg(frame: Frame, model: str) -> bytes:
    """Encode a frame's pixels as JPEG, with EXIF: make, model, software and the capture time.

    Raises:
        CameraError: the frame is larger than a JPEG can be; it is named.
    """
    try:
        jpeg = encode_pixels(frame.pixels)
    except UnreadableError as error:
        name = frame.file_name or frame.captured_at.isoformat()
        raise CameraError(f"{name} cannot be written as JPEG ({error}): remove it") from error
    return add_exif(jpeg, model, frame.captured_at, frame.exposure)


def encode_pixels(pixels: NDArray[np.uint8]) -> bytes:
    """Encode ``uint8 [h, w, 3]`` RGB pixels as JPEG, without EXIF; ValueError for others.

    Raises:
        UnreadableError: they are more in one direction than a JPEG can have.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(f"expected uint8 [h, w, 3], got {pixels.dtype} {list(pixels.shape)}")
    height, width = pixels.shape[:2]
    if max(height, width) > LONGEST_SIDE:
        limit = f"a JPEG has at most {LONGEST_SIDE} in each direction"
        raise UnreadableError("too large", f"{width} × {height} pixels, {limit}")
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=QUALITY)
    return encoded.getvalue()


def encode_smaller(image: FrameImage, side: int) -> bytes:
    """Encode a frame as JPEG without EXIF, upright and no larger than ``side`` in each direction.

    Raises:
        UnreadableError: it is not an image.
    """
    with open_image(image) if isinstance(image, bytes) else Image.fromarray(image) as opened:
        opened.draft("RGB", (side, side))
        smaller = as_rgb(upright(opened))
        smaller.thumbnail((side, side))
        encoded = io.BytesIO()
        smaller.save(encoded, "JPEG", quality=QUALITY)
    return encoded.getvalue()


def is_jpeg(content: bytes | None) -> TypeGuard[bytes]:
    """Return whether a frame has bytes that begin as a JPEG file does."""
    return content is not None and content.startswith(START + b"\xff")


def add_exif(
    jpeg: bytes,
    model: str,
    captured_at: datetime | None,
    exposure: Exposure | None = None,
    description: str | None = None,
) -> bytes:
    """Add EXIF to a JPEG without encoding its pixels again.

    picamera2's own EXIF has no offset from UTC, and is missing for cameras without gains.

    Args:
        jpeg: without EXIF.
        model: of the camera.
        captured_at: with a time zone; ``None`` if the clock was not set.
        exposure: if the camera reported it.
        description: ASCII; None for none.
    """
    exif = Image.Exif()
    if description is not None:
        exif[0x010E] = description
    exif[0x010F], exif[0x0110], exif[0x0131] = MAKE, model, SOFTWARE
    details = exif.get_ifd(0x8769)
    if captured_at is not None:
        moment = captured_at.strftime("%Y:%m:%d %H:%M:%S")
        exif[0x0132] = moment
        details[0x9003] = moment  # DateTimeOriginal
        details[0x9011] = captured_at.isoformat(timespec="seconds")[19:25]  # OffsetTimeOriginal
    if exposure is not None:
        details[0x829A] = IFDRational(round(exposure.seconds * 1e6), 1_000_000)  # ExposureTime
        details[0x8827] = min(exposure.iso, 65535)  # ISOSpeedRatings
    content = exif.tobytes()
    segment = APP1 + (len(content) + 2).to_bytes(2, "big") + content
    return START + segment + jpeg.removeprefix(START)
