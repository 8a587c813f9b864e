"""The metadata and the statistics of an image, by Pillow."""

import warnings
from typing import Any, Literal

import numpy as np
from PIL import Image

from edge.inference.image import DRAFTED, as_8_bits, as_rgb, open_image
from steps.ingestion.exif import read_exif

Statistics = Literal["full", "sampled"]

SAMPLED_SCALE = 4
"""A sampled JPEG is decoded at a quarter of its width and height."""

LEVELS = np.arange(256)


def describe(content: bytes, statistics: Statistics = "full") -> dict[str, Any]:
    """Decode an image once, for its metadata and the statistics of its pixels.

    Args:
        content: the file's bytes.
        statistics: ``full``: of all pixels; ``sampled``: a JPEG's are those of the image
            decoded at a quarter of its sides.

    Returns:
        format, mode, width, height (as stored, pixels), oriented_width, oriented_height, dpi,
        what :func:`steps.ingestion.exif.read_exif` gives but for the orientation, entropy (bits),
        statistics and histogram (256 counts) a band.

    Raises:
        edge.inference.errors.UnreadableError: with the reason.
    """
    # Pillow warns of odd EXIF; `exif_error` says what matters
    with warnings.catch_warnings(action="ignore"), open_image(content) as image:
        width, height = image.size
        if statistics == "sampled" and image.format in DRAFTED:
            image.draft(image.mode, (width // SAMPLED_SCALE, height // SAMPLED_SCALE))
        image.load()
        exif = read_exif(image)
    lies_on_its_side = exif.pop("orientation") >= 5
    return {
        "format": "JPEG" if image.format in DRAFTED else image.format,
        "mode": image.mode,
        "width": width,
        "height": height,
        "oriented_width": height if lies_on_its_side else width,
        "oriented_height": width if lies_on_its_side else height,
        "dpi": _dpi(image),
        **exif,
        **_statistics(image),
    }


def jpeg_step(content: bytes) -> float | None:
    """Read the mean step of a JPEG's first quantisation table, by which its quality is described.

    None for other formats.
    """
    with open_image(content) as image:
        tables = getattr(image, "quantization", None)
        return float(np.mean(tables[0])) if tables and 0 in tables else None


def _dpi(image: Image.Image) -> float | None:
    try:
        return float(image.info["dpi"][0])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None


def _statistics(image: Image.Image) -> dict[str, Any]:
    image = as_rgb(image) if image.mode == "P" else as_8_bits(image)
    if image.mode in ("1", "I", "F"):
        image = image.convert("L")
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
