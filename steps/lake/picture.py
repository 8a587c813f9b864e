"""What Pillow knows of a picture: its metadata and its statistics."""

import io
import re
import struct
import warnings
from datetime import UTC, datetime
from typing import Any

from PIL import ExifTags, Image, ImageStat, UnidentifiedImageError

LONGEST_TEXT = 200
"""Characters of an EXIF value that are kept."""


class Unreadable(Exception):
    """A file that is no picture we can take in.

    Attributes:
        reason: ``empty``, ``not an image``, ``truncated`` or ``decompression bomb``.
    """

    def __init__(self, reason: str, error: str = ""):
        super().__init__(error or reason)
        self.reason = reason


def describe(content: bytes) -> dict[str, Any]:
    """Decode a picture once, for its metadata and the statistics of all its pixels.

    Returns:
        format, mode, width, height (as stored, pixels), oriented_width, oriented_height,
        dpi, camera_make, camera_model, gps, exif_captured_at, entropy (bits), statistics and
        histogram (256 counts) a band, exif (readable strings by tag name).

    Raises:
        Unreadable: with the reason.
    """
    if not content:
        raise Unreadable("empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content))
            picture.load()
    except UnidentifiedImageError as error:
        raise Unreadable("not an image", "no format that Pillow knows") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unreadable("decompression bomb", str(error)) from error
    # Pillow's decoders raise any of these on damaged bytes
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError) as error:
        raise Unreadable("truncated", f"{type(error).__name__}: {error}") from error
    exif = _exif(picture)
    return {
        "format": picture.format,
        "mode": picture.mode,
        "width": picture.width,
        "height": picture.height,
        **_oriented_size(picture),
        "dpi": float(picture.info["dpi"][0]) if "dpi" in picture.info else None,
        "camera_make": exif.get("Make"),
        "camera_model": exif.get("Model"),
        "gps": _gps(picture),
        "exif_captured_at": _exif_time(exif),
        "exif": exif,
        **_statistics(picture),
    }


def _statistics(picture: Image.Image) -> dict[str, Any]:
    if picture.mode in ("P", "1", "I", "F") or picture.mode.startswith("I;"):
        picture = picture.convert("RGB" if picture.mode == "P" else "L")
    histogram = picture.histogram()
    statistics = ImageStat.Stat(histogram)
    bands = [
        {
            "band": band,
            "mean": mean,
            "median": float(median),
            "stddev": stddev,
            "min": low,
            "max": high,
        }
        for band, mean, median, stddev, (low, high) in zip(
            picture.getbands(),
            statistics.mean,
            statistics.median,
            statistics.stddev,
            statistics.extrema,
            strict=True,
        )
    ]
    per_band = [histogram[start : start + 256] for start in range(0, len(histogram), 256)]
    return {"entropy": picture.entropy(), "statistics": bands, "histogram": per_band}


def _oriented_size(picture: Image.Image) -> dict[str, int]:
    lies_on_its_side = picture.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    width, height = picture.size
    if lies_on_its_side:
        width, height = height, width
    return {"oriented_width": width, "oriented_height": height}


def _exif(picture: Image.Image) -> dict[str, str]:
    exif = picture.getexif()
    values = {ExifTags.TAGS.get(tag, str(tag)): value for tag, value in exif.items()}
    for tag, value in exif.get_ifd(ExifTags.IFD.Exif).items():
        values[ExifTags.TAGS.get(tag, str(tag))] = value
    return {name: _text(value) for name, value in values.items() if name != "GPSInfo"}


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes: {value[:16].hex()}"
    return re.sub(r"[\x00-\x1f]", "", str(value)).strip()[:LONGEST_TEXT]


def _exif_time(exif: dict[str, str]) -> datetime | None:
    text = exif.get("DateTimeOriginal") or exif.get("DateTime") or ""
    try:
        return datetime.strptime(text, "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _gps(picture: Image.Image) -> dict[str, float | None] | None:
    ifd = picture.getexif().get_ifd(ExifTags.IFD.GPSInfo)
    latitude = _degrees(ifd.get(ExifTags.GPS.GPSLatitude), ifd.get(ExifTags.GPS.GPSLatitudeRef))
    longitude = _degrees(ifd.get(ExifTags.GPS.GPSLongitude), ifd.get(ExifTags.GPS.GPSLongitudeRef))
    if latitude is None or longitude is None:
        return None
    altitude = ifd.get(ExifTags.GPS.GPSAltitude)
    return {
        "latitude": latitude,
        "longitude": longitude,
        "altitude": None if altitude is None else float(altitude),
    }


def _degrees(parts: Any, reference: Any) -> float | None:
    try:
        degrees, minutes, seconds = (float(part) for part in parts)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    value = degrees + minutes / 60 + seconds / 3600
    return -value if reference in ("S", "W") else value
