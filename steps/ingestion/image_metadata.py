"""What Pillow knows of an image: its metadata and its statistics."""

import io
import warnings
from typing import Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from edge.inference.image import DAMAGE
from steps.ingestion.exif import read_exif

COLUMNS = """
    format STRING,
    mode STRING,
    width INT,
    height INT,
    oriented_width INT,
    oriented_height INT,
    dpi DOUBLE,
    camera_make STRING,
    camera_model STRING,
    exposure_seconds DOUBLE,
    iso INT,
    entropy DOUBLE,
    gps STRUCT<latitude: DOUBLE, longitude: DOUBLE, altitude: DOUBLE>,
    exif_error STRING,
    statistics ARRAY<STRUCT<band: STRING, mean: DOUBLE, median: DOUBLE, stddev: DOUBLE,
        min: INT, max: INT>>,
    histogram ARRAY<ARRAY<INT>>,
    exif MAP<STRING, STRING>
"""
"""Of the table ``images``: what :func:`describe` tells of an image, long ones last."""

Statistics = Literal["full", "sampled"]

SAMPLED_SCALE = 4
"""A sampled JPEG is decoded at a quarter of its width and height."""

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
"""Those of a camera: Pillow would try all it knows, and hand an EPS to Ghostscript."""

SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"II*\0", b"MM\0*", b"BM")
LEVELS = np.arange(256)


class Unreadable(Exception):
    """A file that is no image we can take in.

    Attributes:
        reason: ``empty``, ``not an image``, ``truncated``, ``damaged`` or
            ``decompression bomb``.
    """

    def __init__(self, reason: str, error: str = ""):
        super().__init__(error or reason)
        self.reason = reason


def describe(
    content: bytes, max_pixels: int = 100_000_000, statistics: Statistics = "full"
) -> dict[str, Any]:
    """Decode an image once, for its metadata and the statistics of its pixels.

    Args:
        content: the file's bytes.
        max_pixels: width × height above which it counts as a decompression bomb.
        statistics: ``full``: of all pixels; ``sampled``: a JPEG's are those of the image
            decoded at a quarter of its sides.

    Returns:
        format, mode, width, height (as stored, pixels), oriented_width, oriented_height, dpi,
        what :func:`steps.ingestion.exif.read_exif` gives but for the orientation, entropy (bits),
        statistics and histogram (256 counts) a band.

    Raises:
        Unreadable: with the reason.
    """
    if not content:
        raise Unreadable("empty")
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd EXIF: `exif_error` says what matters
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            width, height = image.size
            if statistics == "sampled" and image.format == "JPEG":
                image.draft(image.mode, (width // SAMPLED_SCALE, height // SAMPLED_SCALE))
            image.load()
            exif = read_exif(image)
    except UnidentifiedImageError as error:
        if content.startswith(SIGNATURES):
            raise Unreadable(_cut_or_damaged(content), "its header cannot be read") from error
        raise Unreadable("not an image", "no format that Pillow knows") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unreadable("decompression bomb", str(error)) from error
    except DAMAGE as error:
        raise Unreadable(_cut_or_damaged(content), f"{type(error).__name__}: {error}") from error
    lies_on_its_side = exif.pop("orientation") >= 5
    return {
        "format": image.format,
        "mode": image.mode,
        "width": width,
        "height": height,
        "oriented_width": height if lies_on_its_side else width,
        "oriented_height": width if lies_on_its_side else height,
        "dpi": _dpi(image),
        **exif,
        **_statistics(image),
    }


def _cut_or_damaged(content: bytes) -> str:
    """Whether the end of a file is missing, by its format's own mark of the end or its length."""
    if content.startswith(b"\xff\xd8"):
        whole = content.rstrip(b"\0").endswith(b"\xff\xd9")
    elif content.startswith(b"\x89PNG"):
        whole = b"IEND" in content[-64:]
    elif content.startswith(b"RIFF"):
        whole = len(content) >= int.from_bytes(content[4:8], "little") + 8
    elif content.startswith(b"BM"):
        whole = len(content) >= int.from_bytes(content[2:6], "little")
    else:
        whole = False  # a TIFF's parts may stand anywhere
    return "damaged" if whole else "truncated"


def _dpi(image: Image.Image) -> float | None:
    try:
        return float(image.info["dpi"][0])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None


def _statistics(image: Image.Image) -> dict[str, Any]:
    if image.mode in ("P", "1", "I", "F") or image.mode.startswith("I;"):
        image = image.convert("RGB" if image.mode == "P" else "L")
    counts = np.array(image.histogram()).reshape(-1, 256)
    pixels = counts[0].sum()
    means = counts @ LEVELS / pixels
    # ImageStat's lower median, from the counts
    medians = (counts.cumsum(axis=1) > (pixels // 2)).argmax(axis=1)
    deviations = np.sqrt(np.maximum(counts @ LEVELS**2 / pixels - means**2, 0))
    shares = counts[counts > 0] / counts.sum()
    bands = [
        {
            "band": band,
            "mean": float(mean),
            "median": float(median),
            "stddev": float(deviation),
            "min": int((row > 0).argmax()),
            "max": int(255 - (row[::-1] > 0).argmax()),
        }
        for band, mean, median, deviation, row in zip(
            image.getbands(), means, medians, deviations, counts, strict=True
        )
    ]
    # of all bands' values together, as Pillow's Image.entropy
    entropy = abs(float(-(shares * np.log2(shares)).sum()))
    return {"entropy": entropy, "statistics": bands, "histogram": counts.tolist()}
