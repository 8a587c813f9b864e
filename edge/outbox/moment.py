"""The moment of an event: what the clock showed, and whether that was the time."""

import sqlite3
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from edge.protocol.freshness import DAY_SECONDS


@dataclass(frozen=True)
class Moment:
    """When something happened.

    Attributes:
        wall_time: the time that the clock showed, with its zone.
        uptime: seconds since the machine started, including sleep.
        boot: the ID of that start of the machine.
        is_synced: whether the clock was set.
    """

    wall_time: datetime
    uptime: float
    boot: str
    is_synced: bool

    def columns(self) -> dict[str, str | float]:
        """Return the columns that :func:`read_moment` reads."""
        return {"wall_time": self.wall_time.isoformat(), "uptime": self.uptime, "boot": self.boot}

    @staticmethod
    def without_date(wall_time: datetime) -> datetime:
        """Return a time of day (UTC) on 1 January 1970.

        If the time of an event is unknown, a date that may be days too old would look right.

        >>> Moment.without_date(datetime(2026, 7, 13, 12, 30, tzinfo=UTC)).isoformat()
        '1970-01-01T12:30:00+00:00'
        """
        return datetime.fromtimestamp(wall_time.timestamp() % DAY_SECONDS, UTC)

    def resolve(self, now: "Moment") -> "Moment | None":
        """Return this moment with its right time, or None if that may still become known.

        The time of a moment before an earlier restart never becomes known: the result is not
        synced and has no date, see :meth:`without_date`.
        """
        if self.is_synced:
            return self
        if not now.is_synced:
            return None
        if self.boot != now.boot:
            return replace(self, wall_time=self.without_date(self.wall_time))
        wall_time = now.wall_time - timedelta(seconds=now.uptime - self.uptime)
        return replace(self, wall_time=wall_time, is_synced=True)


def read_moment(row: sqlite3.Row) -> Moment:
    """Return the moment that an undated row of the store has."""
    wall_time = datetime.fromisoformat(row["wall_time"])
    return Moment(wall_time, row["uptime"], row["boot"], is_synced=False)
