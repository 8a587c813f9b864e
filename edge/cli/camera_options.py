"""The command line's options of a camera, and the camera that they mean."""

import argparse
from datetime import UTC, datetime, timedelta

from edge.cameras.camera import Camera, CameraError


def add_camera(command: argparse.ArgumentParser, start: str, period: float) -> None:
    """Add the options that say which camera.

    Args:
        start: default of ``--start``, as ISO text.
        period: default of ``--period``, in minutes.
    """
    group = command.add_argument_group("camera")
    group.add_argument(
        "--camera",
        default="simulated",
        metavar="KIND",
        help="simulated, picamera2 (a Raspberry Pi's own), opencv:SOURCE (a number, device, URL or "
        "video file), or folder:PATH (the images in a folder, by name)",
    )
    group.add_argument(
        "--period",
        type=_positive,
        default=period,
        metavar="MIN",
        help="minutes between two frames: simulated ones, or with picamera2 real ones",
    )
    group.add_argument(
        "--start",
        type=_moment,
        default=start,
        metavar="ISO",
        help="simulated: capture time of the first frame, UTC unless it has an offset",
    )
    group.add_argument(
        "--seed",
        type=_seed,
        default=1,
        metavar="N",
        help="simulated: another whole number is another porch",
    )


def open_camera(options: argparse.Namespace) -> Camera:
    """The camera that the options say; raises :class:`CameraError` where there is no such kind."""
    kind, _, place = options.camera.partition(":")
    period = timedelta(minutes=options.period)
    if kind == "simulated":
        from edge.cameras.simulated import SimulatedCamera

        return SimulatedCamera(options.start, period, options.seed)
    if kind == "picamera2":
        from edge.cameras.picamera2 import Picamera2Camera

        return Picamera2Camera(period)
    if kind == "opencv" and place:
        from edge.cameras.opencv import OpenCVCamera

        return OpenCVCamera(place)
    if kind == "folder" and place:
        from edge.cameras.folder import FolderCamera

        return FolderCamera(place)
    raise CameraError(
        f"no camera {options.camera!r}: use --camera simulated, picamera2, opencv:SOURCE or "
        "folder:PATH"
    )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time such as 2026-07-13T06:00:00"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def whole_count(text: str) -> int:
    """Read a whole number from 1 up."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 up")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 up")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 525600:  # a year; shuts out "inf" and "nan" as well
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0 and up to 525600")
    return number
