"""Names in the landing zone: the device writes them, and ingest reads them."""

import hashlib
import re
from datetime import UTC, datetime

RESULTS = "results"
"""The folder of predictions."""

KEPT_FOR = "kept for: "
"""How the EXIF description of an image begins that a device kept; its reason follows."""

STATUS = "status"
"""The folder of the devices' status."""

MAX_PART_BYTES = 64
"""Of a device and of a view: with the time and a label, a file's name stays below 255 bytes."""


def part_error(text: str) -> str | None:
    """Return what is wrong with a device or a view as part of an image's name; None if it fits.

    >>> part_error("porch-1")
    >>> part_error("front_door")
    'use only letters, digits and -, at most 64 bytes, since it goes into file names'
    """
    is_made_of = all(sign.isalnum() or sign == "-" for sign in text)
    if text and is_made_of and len(text.encode()) <= MAX_PART_BYTES:
        return None
    return (
        f"use only letters, digits and -, at most {MAX_PART_BYTES} bytes, since it goes into "
        "file names"
    )


def image_name(captured_at: datetime, device: str, view: str, label: str | None) -> str:
    """Return the name of an image's file, with the time in UTC, as ingest reads it.

    In local time, two images an hour apart would have the same name when summer time ends. A time
    without a zone counts as UTC.

    >>> image_name(datetime.fromisoformat("2026-07-13T05:04:54+02:00"), "1", "porch", "0")
    '2026-07-13T03%3A04%3A54_rpi_sensor_1_porch_0.jpg'
    """
    if captured_at.tzinfo is not None:
        captured_at = captured_at.astimezone(UTC)
    stamp = captured_at.strftime("%Y-%m-%dT%H%%3A%M%%3A%S")
    ending = "" if label is None else f"_{label}"
    return f"{stamp}_rpi_sensor_{device}_{view}{ending}.jpg"


def capture_time(name: str) -> datetime | None:
    """Return the time in a name that :func:`image_name` made, in UTC; None if it has none.

    >>> capture_time("2026-07-13T03%3A04%3A54_rpi_sensor_1_porch_0.jpg").isoformat()
    '2026-07-13T03:04:54+00:00'
    """
    if not (stamp := re.match(r"\d{4}-\d\d-\d\dT\d\d%3A\d\d%3A\d\d", name)):
        return None
    return datetime.fromisoformat(stamp[0].replace("%3A", ":")).replace(tzinfo=UTC)


def results_name(device: str, store: str, number: int, content: bytes) -> str:
    """Return the name of a file of results, which each store of each device counts for itself.

    The content is part of the name: if a disk loses what it reported as written, and the count
    goes back, other rows still get another name.

    >>> results_name("porch-1", "5f3a", 7, b"{}")
    'results/porch-1/5f3a-00000007-44136fa3.jsonl'
    """
    digest = hashlib.sha256(content).hexdigest()[:8]
    return f"{RESULTS}/{device}/{store}-{number:08}-{digest}.jsonl"


def status_name(device: str) -> str:
    """Return the name of a device's status file.

    >>> status_name("porch-1")
    'status/porch-1.json'
    """
    return f"{STATUS}/{device}.json"
