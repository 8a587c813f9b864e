"""The time: what the clock shows, and how long the machine has been up.

A Pi has no clock of its own that runs while it is off: after a start it may show 1970 until the
network has told it the time. How long it has been up is always known, so what happened before
can be dated afterwards.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
"""A clock that shows less was not set: this code is younger."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Moment:
    """When something happened.

    Attributes:
        shown: the time that the clock showed, with its zone.
        uptime: seconds that the machine had been up, sleep included.
        boot: of which start of the machine.
        known: whether the clock had been set.
    """

    shown: datetime
    uptime: float
    boot: str
    known: bool

    def dated(self, now: "Moment") -> "Moment":
        """This moment with the right time, if that is known now and the machine stayed up."""
        if self.known or not now.known or self.boot != now.boot:
            return self
        shown = now.shown - timedelta(seconds=now.uptime - self.uptime)
        return Moment(shown, self.uptime, self.boot, known=True)


class Clock:
    """The machine's clock."""

    def __init__(self):
        self._boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else "unknown"

    def now(self) -> Moment:
        """This moment."""
        shown = datetime.now().astimezone()
        return Moment(shown, self.uptime(), self._boot, shown >= EARLIEST)

    def uptime(self) -> float:
        """Seconds that the machine has been up; never goes back."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
