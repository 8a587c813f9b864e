"""When an image was taken, by its EXIF: the device and ingest read it alike."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from PIL import ExifTags

TIMES = (
    (ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
    (ExifTags.Base.DateTimeDigitized, ExifTags.Base.OffsetTimeDigitized),
    (ExifTags.Base.DateTime, ExifTags.Base.OffsetTime),
)
"""The tags of a time and of its offset from UTC, the best ones first."""

EARLIEST = datetime(1980, 1, 1)
"""Earlier times are those of a clock that was never set."""

LATEST = datetime.max - timedelta(days=1)
"""A local time up to this one has an equal in UTC."""

WRITTEN = re.compile(
    r"(\d{4})[:/.-](\d\d)[:/.-](\d\d)[ T]+(\d\d):(\d\d):(\d\d)(?:[.,]\d+)? ?(Z|[+-]\d\d:\d\d)?",
    re.ASCII,
)
"""As EXIF demands it, as ISO 8601, and as programs mix the two."""


def find_exif_time(
    tags: Mapping[int, Any], gps: Mapping[int, Any], latest: datetime | None = None
) -> tuple[datetime, str] | None:
    """Return the best valid time in EXIF and where it is from: ``exif`` or ``gps``.

    Args:
        tags: of the image and of its Exif folder.
        gps: the tags of its GPS folder, whose time is UTC.
        latest: later times are not valid (UTC); None: all are.

    Returns:
        The time has a zone if its offset from UTC is known; None if there is no valid time.
    """
    for tag, offset_tag in TIMES:
        offset = _text(tags.get(offset_tag)) or _text(tags.get(ExifTags.Base.OffsetTime))
        time = parse_exif_time(_text(tags.get(tag)), _parse_exif_offset(offset))
        if time and not _is_after(time, latest):
            return time, "exif"
    time = _gps_time(gps)
    return None if time is None or _is_after(time, latest) else (time, "gps")


def parse_exif_time(written: str, offset: timedelta | None) -> datetime | None:
    """Return a time as EXIF writes it, with a zone if its offset from UTC is known.

    None if it is not a valid time: cameras without a clock write zeros or spaces.

    >>> parse_exif_time("2026:07:13 12:30:05", None)
    datetime.datetime(2026, 7, 13, 12, 30, 5)
    """
    match = WRITTEN.fullmatch(written)
    if match is None:
        return None
    *numbers, zone = match.groups()
    try:
        time = datetime(*map(int, numbers))  # type: ignore[arg-type]
    except ValueError:
        return None
    if not EARLIEST <= time <= LATEST:
        return None
    offset = _parse_exif_offset(zone.replace("Z", "+00:00")) if zone else offset
    return time if offset is None else time.replace(tzinfo=timezone(offset))


def _parse_exif_offset(written: str) -> timedelta | None:
    """Return an offset from UTC as EXIF writes it, such as +02:00; None if it is not a valid one.

    >>> _parse_exif_offset("-03:30") == timedelta(hours=-3, minutes=-30)
    True
    """
    match = re.fullmatch(r"([+-])(\d\d):([0-5]\d)", written, re.ASCII)
    if match is None or int(match[2]) > 14:
        return None
    return int(f"{match[1]}1") * timedelta(hours=int(match[2]), minutes=int(match[3]))


def _gps_time(gps: Mapping[int, Any]) -> datetime | None:
    """Return the time of the GPS tags; the start of the day if they have only a date."""
    day = _text(gps.get(ExifTags.GPS.GPSDateStamp))
    try:
        clock = [int(part) for part in gps.get(ExifTags.GPS.GPSTimeStamp) or (0, 0, 0)]
        return parse_exif_time(f"{day} {clock[0]:02}:{clock[1]:02}:{clock[2]:02}", timedelta())
    except (TypeError, ValueError, ArithmeticError, IndexError):
        return None


def _text(value: Any) -> str:
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0")


def _is_after(time: datetime, latest: datetime | None) -> bool:
    return latest is not None and (time if time.tzinfo else time.replace(tzinfo=UTC)) > latest
