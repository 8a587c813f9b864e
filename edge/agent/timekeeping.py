"""What confirms the machine's clock: a time server, or a real-time clock with a battery."""

import ctypes
from contextlib import suppress
from datetime import datetime
from pathlib import Path

MAX_ERROR = 16_000_000
"""Microseconds: the kernel's estimate of its clock's error while nothing synchronises it."""

SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
"""Created by systemd-timesyncd after its first answer from a time server since a start."""

RTCS = Path("/sys/class/rtc")
MAX_DIFFERENCE_SECONDS = 60.0


class _Timex(ctypes.Structure):
    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_char * 512),
    ]


def is_synchronised() -> bool:
    """Return whether a time server has set the clock, by the kernel or systemd-timesyncd.

    The kernel's flag ``STA_UNSYNC`` is of no use: chrony leaves it set if it may not touch the
    RTC. ``timedatectl`` goes by the error too.
    """
    return _clock_error() < MAX_ERROR or SYNCHRONISED.exists()


def rtc_agrees(wall_time: datetime) -> bool:
    """Return whether a real-time clock shows the same time, within a minute.

    One whose battery was empty differs from the time that was saved on the disk, or its driver
    gives none.

    Args:
        wall_time: of the system's clock, with its zone.
    """
    for rtc in RTCS.glob("rtc*"):
        with suppress(OSError, ValueError):
            seconds = int((rtc / "since_epoch").read_text())
            if abs(seconds - wall_time.timestamp()) <= MAX_DIFFERENCE_SECONDS:
                return True
    return False


def _clock_error() -> int:
    """Return the error in microseconds; reading it needs no privilege unless in a sandbox."""
    timex = _Timex()
    state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    return int(timex.maxerror) if state >= 0 else MAX_ERROR
