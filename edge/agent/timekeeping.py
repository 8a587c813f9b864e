"""Who vouches for the machine's clock: a time server, or a real-time clock with a battery."""

import ctypes
from datetime import datetime
from pathlib import Path

MOST_ERROR = 16_000_000
"""Microseconds: the kernel's estimate of its clock's error while nobody keeps the clock right."""

SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
"""Made by systemd-timesyncd when a time server was heard for the first time after a start."""

RTCS = Path("/sys/class/rtc")
AGREES_SECONDS = 60.0


class _Timex(ctypes.Structure):
    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_char * 512),
    ]


def is_synchronised() -> bool:
    """Whether a time server has set the clock, by the kernel's word or systemd-timesyncd's.

    The kernel's flag ``STA_UNSYNC`` is not asked: chrony leaves it set where it is not to touch
    the RTC. The error is what ``timedatectl`` goes by too.
    """
    return _clock_error() < MOST_ERROR or SYNCHRONISED.exists()


def rtc_agrees(shown: datetime) -> bool:
    """Whether a real-time clock shows the same time, within a minute.

    One whose battery was empty shows another time than the one that was saved on the disk, or
    its driver refuses to say.

    Args:
        shown: what the system's clock shows, with its zone.
    """
    return any(abs(seconds - shown.timestamp()) <= AGREES_SECONDS for seconds in _rtc_times())


def _clock_error() -> int:
    """Microseconds; reading it takes no right, unless a sandbox forbids the call as a whole."""
    timex = _Timex()
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    except AttributeError:  # no Linux
        return MOST_ERROR
    return timex.maxerror if state >= 0 else MOST_ERROR


def _rtc_times() -> list[int]:
    found = []
    for rtc in sorted(RTCS.glob("rtc*")):
        try:
            found.append(int((rtc / "since_epoch").read_text()))
        except (OSError, ValueError):
            continue
    return found
