"""Encoded images: their formats and limits, how one is opened, and what its EXIF says."""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from edge.inference.errors import IncompleteJpegError, UnreadableError
from edge.inference.jpeg import require_complete
from edge.inference.png import PNG_SIGNATURE, without_texts

MAX_PIXELS = 89_478_485
"""Of an image as it is stored. Pillow warns of decompression bombs above this very number: within
our limit it does not, and no process needs to change Pillow's."""

MAX_BYTES = 3 * MAX_PIXELS + 2**20
"""Of an encoded image: the largest one fits as uncompressed RGB, with a mebibyte of metadata."""


class ImageFormat(NamedTuple):
    """How files of a format are recognized: by their names' endings and their first bytes."""

    suffixes: tuple[str, ...]
    signatures: tuple[bytes, ...]


FORMATS = {
    "JPEG": ImageFormat((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), (b"\xff\xd8\xff",)),
    "PNG": ImageFormat((".png", ".apng"), (b"\x89PNG",)),
    "WEBP": ImageFormat((".webp",), (b"RIFF",)),
    "TIFF": ImageFormat((".tif", ".tiff"), (b"II*\0", b"MM\0*")),
    "BMP": ImageFormat((".bmp", ".dib"), (b"BM",)),
    "GIF": ImageFormat((".gif",), (b"GIF8",)),
}
"""By Pillow's names. It is asked for no others: it would hand an EPS file to Ghostscript."""

SUFFIXES = tuple(chain.from_iterable(known.suffixes for known in FORMATS.values()))
SIGNATURES = tuple(chain.from_iterable(known.signatures for known in FORMATS.values()))

DRAFTED = ("JPEG", "MPO")
"""The formats that Pillow can decode smaller than they are; an MPO is a JPEG with more images."""

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by its EXIF orientation; 1 is upright."""

DAMAGE = (
    *(ArithmeticError, EOFError, LookupError, MemoryError, OSError, struct.error),
    *(SyntaxError, TypeError, ValueError),
)
"""What Pillow's decoders raise on damaged bytes."""

EXIF_DAMAGE = (*DAMAGE, AttributeError)
"""What Pillow raises on damaged EXIF."""


@contextmanager
def open_image(content: bytes) -> Iterator[Image.Image]:
    """Open an encoded image that keeps the limits, by the size that its header states.

    Of an animation or of several pages, it is the first.

    Raises:
        UnreadableError: it does not, or Pillow cannot open it; also for whatever Pillow raises
            inside the block, so decode there. If rows of the image are missing, its detail says
            how many.
    """
    if not content:
        raise UnreadableError("empty")
    if len(content) > MAX_BYTES:
        raise UnreadableError("too large", f"{len(content)} bytes, the limit is {MAX_BYTES}")
    image = None
    try:
        file = io.BytesIO(without_texts(content) if content.startswith(PNG_SIGNATURE) else content)
        with Image.open(file, formats=tuple(FORMATS)) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                size = f"{width} × {height} pixels, the limit is {MAX_PIXELS}"
                raise UnreadableError("decompression bomb", size)
            if image.format in DRAFTED:
                require_complete(image, content)
            yield image
    except UnreadableError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableError("decompression bomb", str(error)) from error
    except DAMAGE as error:
        raise _unreadable(content, image, error) from error


def _unreadable(
    content: bytes, image: ImageFile.ImageFile | None, error: Exception
) -> UnreadableError:
    """Return the error that says what an exception of Pillow's means."""
    detail = f"{type(error).__name__}: {error}"
    if image and isinstance(error, IncompleteJpegError):
        return UnreadableError("truncated", error.detail or _missing_rows(image))
    if isinstance(error, UnidentifiedImageError):
        if not content.startswith(SIGNATURES):
            return UnreadableError("not an image", "its format is unknown")
        detail = "its header is unreadable"
    if image and "truncated" in detail:
        return UnreadableError("truncated", _missing_rows(image))
    reason = _cut_or_damaged(content)
    if reason == "truncated" and content.startswith(b"RIFF"):  # a WebP is decoded as one
        stated = int.from_bytes(content[4:8], "little") + 8
        detail = f"about {100 - 100 * len(content) / stated:.0f} % of the bytes are missing"
    return UnreadableError(reason, detail)


def _missing_rows(image: ImageFile.ImageFile) -> str:
    """Say how much of an image was not decoded; its rows are still as Pillow made them: 0."""
    image.tile = []  # there is nothing more to decode
    _, rows = image.getprojection()
    return f"about {100 * rows.count(0) / len(rows):.0f} % of the rows are missing"


def _cut_or_damaged(content: bytes) -> str:
    """Return whether the end is missing, by the format's own end mark or length."""
    if content.startswith(b"\xff\xd8"):
        is_complete = content.rstrip(b"\0").endswith(b"\xff\xd9")
    elif content.startswith(b"\x89PNG"):
        is_complete = b"IEND" in content[-64:]
    elif content.startswith(b"RIFF"):
        is_complete = len(content) >= int.from_bytes(content[4:8], "little") + 8
    elif content.startswith(b"BM"):
        is_complete = len(content) >= int.from_bytes(content[2:6], "little")
    else:
        is_complete = False  # the parts of a TIFF may stand anywhere
    return "damaged" if is_complete else "truncated"


def orientation_of(image: Image.Image) -> int:
    """Return an image's EXIF orientation, 1–8; 1 if it has none, or if its EXIF is damaged."""
    try:
        orientation = image.getexif().get(0x0112)
    except EXIF_DAMAGE:
        return 1
    return orientation if orientation in UPRIGHT else 1


def upright(image: Image.Image) -> Image.Image:
    """Return an image turned upright, as its EXIF orientation says."""
    turned = UPRIGHT.get(orientation_of(image))
    return image if turned is None else image.transpose(turned)


def as_rgb(image: Image.Image) -> Image.Image:
    """Return an image of any mode as RGB of 8 bits."""
    if image.mode == "RGB":
        return image  # converting would copy it
    if image.mode == "P":
        image = image.convert("RGBA")  # without which Pillow warns of transparent colours
    return as_8_bits(image).convert("RGB")


def as_8_bits(image: Image.Image) -> Image.Image:
    """Return a grey image of 16 bits as one of 8, and any other as it is."""
    if not image.mode.startswith("I;16"):
        return image
    # Pillow's own conversion clips values above 255, which leaves a white image.
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
