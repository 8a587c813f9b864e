"""The command line's options of a camera, and the camera that they select."""

import argparse
from datetime import UTC, datetime, timedelta

from edge.cameras.camera import Camera, CameraSettings
from edge.cameras.errors import CameraError
from edge.cameras.kinds import CAMERAS, camera_class, make_camera, usage
from edge.cli.options import Option, add_options, whole_number

LATEST = datetime(9999, 12, 30, tzinfo=UTC)
"""Python's last day is the one after it; so this one is a day in every time zone."""


def add_camera_options(command: argparse.ArgumentParser, start: str, period: float) -> None:
    """Add the options that select a camera.

    Args:
        command: the command that needs a camera.
        start: default of ``--start``, as ISO text.
        period: default of ``--period``, in minutes.
    """
    kinds = ", ".join(f"{usage(kind)} ({camera_class(kind).description})" for kind in CAMERAS)
    group = command.add_argument_group("camera")
    minutes = "minutes between two frames: simulated time, or with picamera2 real time"
    first = "simulated: capture time of the first frame, UTC unless it has an offset"
    porch = "simulated: each whole number is another porch"
    add_options(
        group,
        Option("--camera", "KIND", kinds, default="simulated"),
        Option("--period", "MIN", minutes, _read_period, period),
        Option("--start", "ISO", first, _read_time, start),
        Option("--seed", "N", porch, whole_number(0), 1),
    )


def selected_camera(options: argparse.Namespace) -> Camera:
    """Make the selected camera.

    Raises:
        CameraError: there is no such one, or its simulated time ends after :data:`LATEST`.
    """
    kind, _, source = options.camera.partition(":")
    period = timedelta(minutes=options.period)
    camera = make_camera(
        CameraSettings(kind, source, seed=options.seed, period=period, start=options.start)
    )
    count = options.count or camera.default_count or 1
    # not start + count * period, which may be no time at all
    if kind == "simulated" and count - 1 > (LATEST - options.start) / period:
        raise CameraError("the last frame would be later than the year 9999: lower --count")
    return camera


def _read_time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        why = f"{text!r} is not a time such as 2026-07-13T06:00:00"
        raise argparse.ArgumentTypeError(why) from error
    if not 1970 <= time.year < LATEST.year:  # the simulated world begins in 1970
        why = f"{text!r} is not a time from 1970 to {LATEST.year - 1}"
        raise argparse.ArgumentTypeError(why)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _read_period(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    # from a microsecond to a year; excludes "inf" and "nan" as well
    if not (0 < minutes <= 525600 and timedelta(minutes=minutes)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and up to 525600")
    return minutes
