"""The machine's clock: the time, whether it was set, and the uptime.

A Pi has no clock that runs while it is off. After a start, its clock continues from the time that
was saved last, which looks right and is not, until a time server sets it. The uptime is always
right, so that earlier events can be dated afterwards.
"""

import ctypes
import sqlite3
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from edge.outbox.moment import Moment
from edge.outbox.store import Store

EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
"""A clock before this time was not set, whatever confirms it: this code is younger."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
SYNCED_BOOT = "clock synced in boot"
"""The fact that holds the last start of the machine in which the clock was confirmed."""


MAX_ERROR = 16_000_000
"""Microseconds: the kernel's estimate of its clock's error while nothing synchronises it."""

SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
"""Created by systemd-timesyncd after its first answer from a time server since a start."""

RTCS = Path("/sys/class/rtc")
MAX_DIFFERENCE_SECONDS = 60.0


class Clock:
    """The machine's clock.

    Args:
        trusted: whether the clock counts as set although nothing confirms it.
        store: remembers, for the agent's next process, that the clock was set since the machine
            started.
    """

    def __init__(self, trusted: bool = False, store: Store | None = None):
        self._boot = boot_id()
        was_synced = store is not None and store.stored_value(SYNCED_BOOT) == self._boot
        self._is_synced = trusted or was_synced
        # nothing confirmed a trusted clock: the trust ends with the setting
        self._store = None if trusted or was_synced else store

    def now(self) -> Moment:
        """Return this moment."""
        wall_time = datetime.now().astimezone()
        if wall_time < EARLIEST:
            return Moment(wall_time, self.uptime(), self._boot, is_synced=False)
        # a clock that was set once stays right: without a network, the kernel's estimate of its
        # error exceeds the limit within nine hours all the same
        self._is_synced = self._is_synced or _is_synchronised() or _rtc_agrees(wall_time)
        if self._is_synced and self._store:
            with suppress(sqlite3.OperationalError):  # a full disk: a later moment tries again
                self._store.store_value(SYNCED_BOOT, self._boot)
                self._store = None
        return Moment(wall_time, self.uptime(), self._boot, self._is_synced)

    def uptime(self) -> float:
        """Return the seconds since the machine started; they never decrease."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Return the ID of this start of the machine; if it is unknown, another one each time."""
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else f"unknown {uuid.uuid4()}"


class _Timex(ctypes.Structure):
    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_char * 512),
    ]


def _is_synchronised() -> bool:
    """Return whether a time server has set the clock, by the kernel or systemd-timesyncd.

    The kernel's flag ``STA_UNSYNC`` is of no use: chrony leaves it set if it may not touch the
    RTC. ``timedatectl`` goes by the error too.
    """
    return _clock_error() < MAX_ERROR or SYNCHRONISED.exists()


def _rtc_agrees(wall_time: datetime) -> bool:
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
