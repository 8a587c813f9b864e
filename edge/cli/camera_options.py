"""The command line's options of a camera, and the camera that they select."""

import argparse
from datetime import UTC, datetime, timedelta

from edge.cameras.camera import Camera, CameraOptions
from edge.cameras.kinds import CAMERAS, camera_class, make_camera, usage


def add_camera_options(command: argparse.ArgumentParser, start: str, period: float) -> None:
    """Add the options that select a camera.

    Args:
        command: the command that needs a camera.
        start: default of ``--start``, as ISO text.
        period: default of ``--period``, in minutes.
    """
    kinds = ", ".join(f"{usage(kind)} ({camera_class(kind).description})" for kind in CAMERAS)
    group = command.add_argument_group("camera")
    group.add_argument("--camera", default="simulated", metavar="KIND", help=kinds)
    group.add_argument(
        "--period",
        type=_parse_period,
        default=period,
        metavar="MIN",
        help="minutes between two frames: simulated time, or with picamera2 real time",
    )
    group.add_argument(
        "--start",
        type=_parse_time,
        default=start,
        metavar="ISO",
        help="simulated: capture time of the first frame, UTC unless it has an offset",
    )
    group.add_argument(
        "--seed",
        type=_parse_seed,
        default=1,
        metavar="N",
        help="simulated: each whole number is another porch",
    )


def selected_camera(options: argparse.Namespace) -> Camera:
    """Make the selected camera; raises :class:`CameraError` if there is no such one."""
    kind, _, source = options.camera.partition(":")
    period = timedelta(minutes=options.period)
    return make_camera(
        kind, CameraOptions(source, period=period, start=options.start, seed=options.seed)
    )


def parse_count(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _parse_time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time such as 2026-07-13T06:00:00"
        ) from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _parse_seed(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def _parse_period(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes <= 525600:  # a year; excludes "inf" and "nan" as well
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and up to 525600")
    return minutes
