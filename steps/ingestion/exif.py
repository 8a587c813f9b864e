"""The EXIF metadata of an image."""

import re
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from PIL import ExifTags, Image

from edge.inference.image import EXIF_DAMAGE, orientation_of
from edge.protocol.exif_time import find_exif_time

LONGEST_TEXT = 200
"""Characters of a value that are kept."""

FUTURE = timedelta(days=1)
"""A time further ahead comes from a wrong clock, not from another time zone."""


def read_exif(image: Image.Image) -> dict[str, Any]:
    """Return the columns that come from EXIF.

    Damaged EXIF leaves its columns empty and gives the cause in ``exif_error``; the image is
    accepted.

    Returns:
        orientation (1–8), camera_make, camera_model, exposure_seconds, iso, exif_captured_at (the
        best valid time; without an offset it counts as UTC), captured_from (``exif`` or ``gps``),
        utc_offset_minutes, gps, exif (readable strings by tag name, GPS left out), exif_error.
    """
    columns: dict[str, Any] = {"exif_error": None}
    tags: dict[int, Any] = {}
    gps: dict[int, Any] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exif = _load(image)
            tags |= dict(exif)
            tags |= exif.get_ifd(ExifTags.IFD.Exif)
            gps |= exif.get_ifd(ExifTags.IFD.GPSInfo)
        except EXIF_DAMAGE as error:
            columns["exif_error"] = f"{type(error).__name__}: {error}"[:LONGEST_TEXT]
    columns["exif_error"] = columns["exif_error"] or next(_exif_damage_warnings(caught), None)
    values = {ExifTags.TAGS.get(tag, str(tag)): value for tag, value in tags.items()}
    texts = {name: _text(value) for name, value in values.items() if name != "GPSInfo"}
    exposure, iso = _number(values.get("ExposureTime")), _number(values.get("ISOSpeedRatings"))
    time, source = find_exif_time(tags, gps, datetime.now(UTC) + FUTURE) or (None, None)
    offset = time.utcoffset() if time and source == "exif" else None
    return columns | {
        "orientation": orientation_of(image),
        "camera_make": texts.get("Make"),
        "camera_model": texts.get("Model"),
        "exposure_seconds": exposure,
        "iso": None if iso is None else min(int(iso), 2**31 - 1),
        "gps": _gps(gps),
        "exif_captured_at": _as_utc(time) if time else None,
        "captured_from": source,
        "utc_offset_minutes": None if offset is None else offset // timedelta(minutes=1),
        "exif": texts,
    }


def _load(image: Image.Image) -> Image.Exif:
    if "exif" in image.info:
        # Pillow parses a JPEG's EXIF once while it opens it, and hides errors
        Image.Exif().load(image.info["exif"])
    return image.getexif()


def _exif_damage_warnings(caught: list[warnings.WarningMessage]) -> Iterator[str]:
    # Pillow only warns of truncated tags; it also warns of much that is harmless
    for text in (str(warning.message) for warning in caught):
        if re.search("corrupt|truncated", text, re.IGNORECASE):
            yield text[:LONGEST_TEXT]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes: {value[:16].hex()}"
    text = re.sub(r"[\x00-\x1f]", "", str(value)).strip()[:LONGEST_TEXT]
    return text.encode(errors="replace").decode()  # lone surrogates have no UTF-8


def _as_utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _number(value: Any) -> float | None:
    if isinstance(value, tuple) and value:
        value = value[0]
    try:
        number = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if 0 <= number < float("inf") else None


def _gps(tags: dict[int, Any]) -> dict[str, float | None] | None:
    gps = ExifTags.GPS
    latitude = _degrees(tags.get(gps.GPSLatitude), tags.get(gps.GPSLatitudeRef))
    longitude = _degrees(tags.get(gps.GPSLongitude), tags.get(gps.GPSLongitudeRef))
    if latitude is None or longitude is None:
        return None
    altitude = _number(tags.get(gps.GPSAltitude))
    below_sea = tags.get(gps.GPSAltitudeRef) in (1, b"\x01")
    return {
        "latitude": latitude,
        "longitude": longitude,
        "altitude": -altitude if altitude is not None and below_sea else altitude,
    }


def _degrees(parts: Any, reference: Any) -> float | None:
    try:
        degrees, minutes, seconds = (float(part) for part in parts)
    except (TypeError, ValueError, ArithmeticError):
        return None
    value = degrees + minutes / 60 + seconds / 3600
    if not value <= 180:  # NaN included
        return None
    return -value if reference in ("S", "W") else value
