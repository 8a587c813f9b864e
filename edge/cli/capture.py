"""Frames from a camera into a landing folder."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from edge.cameras.camera import Camera, Frame
from edge.cameras.jpeg import encode_jpeg, is_jpeg
from edge.cli.wording import pluralize
from edge.protocol.landing_names import image_name

QUIET_SECONDS = 5.0
"""Progress is shown once a capture takes longer than this."""


@dataclass(frozen=True)
class Captured:
    """What a capture did: counts of files."""

    written: int
    skipped: int


def capture(camera: Camera, folder: Path, count: int | None, device: str, view: str) -> Captured:
    """Write a camera's frames into a landing folder as JPEG files.

    An image that was a JPEG file already keeps its bytes and its name; any other gets
    a name by its time and EXIF. No reader ever sees half a file: it is written under a hidden
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


def _landing_name(frame: Frame, device: str, view: str) -> str:
    if frame.file_name is None:
        return image_name(frame.captured_at, device, view, frame.label)
    # Names are unique in a folder, capture times are not: copied files often share theirs.
    return frame.file_name if is_jpeg(frame.encoded) else f"{frame.file_name}.jpg"


def _as_jpeg(frame: Frame, model: str) -> bytes:
    return frame.encoded if is_jpeg(frame.encoded) else encode_jpeg(frame, model)


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _show_progress(done: int, count: int | None, seconds: float) -> None:
    shown = pluralize(done, "frame") if count is None else f"{done} of {pluralize(count, 'frame')}"
    print(f"{shown}, {done / seconds:.1f} a second", file=sys.stderr, flush=True)
