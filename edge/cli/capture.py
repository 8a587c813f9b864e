"""``python -m edge capture``: frames from a camera into a landing folder."""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.cameras.camera import Camera, Frame
from edge.cameras.jpeg import encode_jpeg, is_jpeg
from edge.cameras.kinds import CAMERAS, camera_class
from edge.cli.camera_options import add_camera_options, selected_camera
from edge.cli.options import Option, name_part, whole_number
from edge.cli.wording import pluralize
from edge.cli.writing import write_file
from edge.protocol.landing_names import image_name

QUIET_SECONDS = 5.0
"""A capture that takes longer shows its progress."""


@dataclass(frozen=True)
class CaptureResult:
    """The counts of files that a capture has written, and skipped as they existed."""

    written: int
    skipped: int


def add_capture_command(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command that captures frames.

    Args:
        add: makes a command from its name, its function, its purpose and its options.
    """
    counts = ", ".join(f"{kind} {camera_class(kind).default_count or 'all'}" for kind in CAMERAS)
    command = add(
        "capture",
        _run,
        "write frames from a camera into a landing folder, as JPEG",
        Option("--to", "FOLDER", "the landing folder; created if missing", Path, required=True),
        Option("--count", "N", f"how many frames (default: {counts})", whole_number(1)),
        Option("--device", "ID", "the device's ID, for the file name", name_part, "1"),
        Option("--view", "NAME", "the camera's view, for the file name", name_part, "porch"),
    )
    add_camera_options(command, start="2026-07-13T00:15:00", period=30)


def _run(options: argparse.Namespace) -> None:
    camera = selected_camera(options)
    count = options.count or camera.default_count
    result = capture(camera, options.to, count, options.device, options.view)
    skipped = f", {result.skipped} existed already" if result.skipped else ""
    print(f"{pluralize(result.written, 'frame')} written to {options.to}{skipped}")


def capture(
    camera: Camera, folder: Path, count: int | None, device: str, view: str
) -> CaptureResult:
    """Write a camera's frames into a landing folder as JPEG files.

    An image that was already a JPEG file keeps its bytes and its name; any other gets EXIF, and
    a name by its time. A reader never sees an incomplete file: each is written under a hidden
    name and renamed. Files that exist are skipped, so a second run adds nothing.

    Args:
        camera: the source of the frames.
        folder: the landing folder; created if it is missing.
        count: how many frames, or ``None`` for as many as the camera has.
        device: the device's ID, for the file name.
        view: the name of the camera's view, for the file name.

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
            write_file(path, _as_jpeg(frame, camera.model))
            written += 1
        now = time.monotonic()
        if now - begin > QUIET_SECONDS and now - shown > 1:
            shown = now
            _show_progress(written + skipped, count, now - begin)
    return CaptureResult(written, skipped)


def _landing_name(frame: Frame, device: str, view: str) -> str:
    if frame.file_name is None:
        return image_name(frame.captured_at, device, view, frame.label)
    # Names are unique in a folder, capture times are not: copied files often share theirs.
    return frame.file_name if is_jpeg(frame.encoded) else f"{frame.file_name}.jpg"


def _as_jpeg(frame: Frame, model: str) -> bytes:
    return frame.encoded if is_jpeg(frame.encoded) else encode_jpeg(frame, model)


def _show_progress(done: int, count: int | None, seconds: float) -> None:
    shown = pluralize(done, "frame") if count is None else f"{done} of {pluralize(count, 'frame')}"
    print(f"{shown}, {done / seconds:.1f} a second", file=sys.stderr, flush=True)
