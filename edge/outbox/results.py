"""The results of all frames: kept on the device, and sent in files of many rows."""

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from edge.outbox.moment import Moment
from edge.outbox.result import Result
from edge.outbox.store import Store
from edge.protocol.landing_names import results_name

ROWS_PER_FILE = 1000
DATED_AT_ONCE = 1000
MAX_POINTS = 300
"""Of the page's curve."""


@dataclass(frozen=True)
class Batch:
    """A file of results to send; the same name always means the same rows."""

    number: int
    name: str
    content: bytes


class Results:
    """The bounded local store of results.

    Args:
        store: where they are kept.
        max_rows: beyond them the oldest are deleted, first those that were sent.
        device: for the rows and the files' names.
    """

    def __init__(self, store: Store, max_rows: int, device: str):
        self._store, self._max_rows, self._device = store, max_rows, device
        self._free_rows = 0

    def add(self, result: Result, moment: Moment, image_id: int | None = None) -> bool:
        """Keep a result; return False if the disk is full.

        Args:
            result: of the model.
            moment: when the frame was taken.
            image_id: of the kept image, from the queue.
        """
        try:
            if self._free_rows == 0:
                self._free_rows = self._make_space()
            self._store.results.add(result, moment, image_id)
        except sqlite3.OperationalError:  # a full disk
            return False
        self._free_rows -= 1
        return True

    def date(self, now: Moment) -> None:
        """Date the results from before the clock was set, as far as that can be known.

        At most :data:`DATED_AT_ONCE` rows, so that they do not delay a new result.
        """
        undated = self._store.results.undated(DATED_AT_ONCE)
        resolved = [(id, moment.resolve(now)) for id, moment in undated]
        if dated := [(id, moment.wall_time) for id, moment in resolved if moment]:
            self._store.results.date(dated)

    def next(self, allow_partial: bool) -> Batch | None:
        """Return the next file to send; after a kill, it has the same rows and the same name.

        A row waits until its image was sent or dropped, so that it can name the image.

        Args:
            allow_partial: whether a file may have fewer than :data:`ROWS_PER_FILE` rows.
        """
        number = self._store.results.open_batch()
        if number is None:
            at_least = 1 if allow_partial else ROWS_PER_FILE
            number = self._store.results.close_batch(at_least, ROWS_PER_FILE)
        if number is None:
            return None
        scored_by = {"scored_by": f"edge:{self._device}"}
        rows = (row | scored_by for row in self._store.results.in_batch(number))
        content = "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows).encode()
        name = results_name(self._device, self._store.id, number, content)
        return Batch(number, name, content)

    def mark_sent(self, batch: Batch) -> None:
        """Record that a file of results is in the landing zone."""
        self._store.results.mark_sent(batch.number)

    def history(self, rows: int) -> list[dict[str, Any]]:
        """Return points of a curve, evenly from the newest ``rows`` results, oldest first."""
        last = self._store.results.last_id()
        ids = range(last, max(last - rows, 0), -max(rows // MAX_POINTS, 1))
        return self._store.results.scored(ids)

    def size(self) -> dict[str, int]:
        """Return how many results are kept, and how many of them were not sent."""
        return self._store.results.total()

    def _make_space(self) -> int:
        """Delete the oldest rows if there are too many; return how many more may be added."""
        spare = max(self._max_rows // 100, 1)
        excess = self._store.results.count() + spare - self._max_rows
        if excess > 0 and (unsent := self._store.results.delete_oldest(excess)):
            self._store.count(results_dropped=unsent)
        return spare
