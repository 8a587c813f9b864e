"""Frames from a camera into a landing folder."""

import os
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge.cameras.camera import Camera, Frame
from edge.jpeg import encode_jpeg, is_jpeg

QUIET_SECONDS = 5.0
"""Progress is shown once a capture takes longer than this."""


@dataclass(frozen=True)
class Captured:
    """What a capture did: counts of files."""

    written: int
    skipped: int


def capture(camera: Camera, folder: Path, count: int | None, device: str, view: str) -> Captured:
    """Write a camera's frames into a landing folder as JPEG files.

    A picture that was a JPEG file already keeps its bytes and its name; any other gets
    :func:`file_name` and EXIF. No reader ever sees half a file: it is written under a hidden
    name and renamed. What exists already is left alone, so a second run adds nothing.

    Args:
        camera: where the frames come from.
        folder: the landing folder; made where it is missing.
        count: how many frames, or ``None`` for as many as the camera has.
        device: the device's ID, for the file name.
        view: what the camera looks at, for the file name.

    Raises:
        edge.cameras.camera.CameraError: the camera cannot deliver.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = skipped = 0
    begin = shown = time.monotonic()
    for frame in camera.frames(count):
        path = folder / _landing_name(frame, device, view)
        if path.exists():
            skipped += 1
        else:
            _write_whole(path, _as_jpeg(frame, camera.model))
            written += 1
        now = time.monotonic()
        if now - begin > QUIET_SECONDS and now - shown > 1:
            shown = now
            _show_progress(written + skipped, count, now - begin)
    return Captured(written, skipped)


def file_name(captured_at: datetime, device: str, view: str, label: str | None) -> str:
    """The name of a frame's file; the time is the clock's at the camera.

    >>> file_name(datetime(2026, 7, 13, 3, 4, 54), "1", "porch", "0")
    '2026-07-13T03%3A04%3A54_rpi_sensor_1_porch_0.jpg'
    """
    stamp = captured_at.strftime("%Y-%m-%dT%H%%3A%M%%3A%S")
    ending = "" if label is None else f"_{label}"
    return f"{stamp}_rpi_sensor_{device}_{view}{ending}.jpg"


def _landing_name(frame: Frame, device: str, view: str) -> str:
    if frame.file_name is None:
        return file_name(frame.captured_at, device, view, frame.label)
    # Names are unique in a folder, capture times are not: copied files often share theirs.
    return frame.file_name if _is_jpeg(frame) else f"{frame.file_name}.jpg"


def _is_jpeg(frame: Frame) -> bool:
    return frame.encoded is not None and is_jpeg(frame.encoded)


def _as_jpeg(frame: Frame, model: str) -> bytes:
    if frame.encoded is not None and _is_jpeg(frame):
        return frame.encoded
    return encode_jpeg(frame, model)


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _show_progress(done: int, count: int | None, seconds: float) -> None:
    total = "" if count is None else f" of {count}"
    print(f"{done}{total} frames, {done / seconds:.1f} a second", file=sys.stderr, flush=True)
