"""The time: what the clock shows, whether that is the time, and how long the machine has been up.

A Pi has no clock of its own that runs while it is off. After a start it goes on from the time that
was saved last, which looks right and is not, until the network has told it the time. How long it
has been up is always known, so what happened before can be dated afterwards.
"""

import sqlite3
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from edge.agent.timekeeping import is_synchronised, rtc_agrees
from edge.outbox.moment import Moment
from edge.outbox.store import Store

EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
"""A clock that shows less was not set, whoever vouches for it: this code is younger."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
SET_IN = "clock set in boot"
"""The fact that says in which start of the machine somebody vouched for the clock."""


class Clock:
    """The machine's clock.

    Args:
        trusted: whether it shows the time although nobody vouches for it.
        store: notes in which start of the machine it was set, for the agent's next process.
    """

    def __init__(self, trusted: bool = False, store: Store | None = None):
        self._boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else f"unknown {uuid.uuid4()}"
        was_set = store is not None and store.fact(SET_IN) == self._boot
        self._is_set = trusted or was_set
        # nobody vouched for a clock that is trusted, so that ends with the setting
        self._store = None if trusted or was_set else store

    def now(self) -> Moment:
        """This moment."""
        shown = datetime.now().astimezone()
        if shown < EARLIEST:
            return Moment(shown, self.uptime(), self._boot, is_synced=False)
        # once it was set it goes right: a network that is away later takes nothing from that,
        # though the kernel's estimate of the error grows beyond its limit within nine hours
        self._is_set = self._is_set or is_synchronised() or rtc_agrees(shown)
        if self._is_set and self._store:
            self._note(self._store)
        return Moment(shown, self.uptime(), self._boot, self._is_set)

    def uptime(self) -> float:
        """Seconds that the machine has been up; never goes back."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def _note(self, store: Store) -> None:
        try:
            store.set_fact(SET_IN, self._boot)
        except sqlite3.OperationalError:  # a full disk: with the next moment, or a later one
            return
        self._store = None
