"""The results of all frames: kept on the device, and sent in files of many rows.

All SQL statements about them, and about the files that they are sent in, stand here.
"""

import json
import sqlite3
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from edge.outbox.moment import Moment, read_moment
from edge.outbox.result import Result
from edge.outbox.store import Store
from edge.protocol.landing_names import results_name

ROWS_PER_FILE = 1000
BYTES_PER_FILE = 1_000_000
"""Of probabilities: a model of 1,000 classes has 37 kB a row."""
MAX_BYTES_IN_MEMORY = 20_000_000
MAX_CURVE_BYTES = 1000
"""Of a point's probabilities: the page draws those of two labels only."""
DATED_AT_ONCE = 1000
SENT_BATCHES = "sent batches"
"""The fact that holds the number of the last file that was sent: they are sent in order."""

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
        max_bytes: of the database; beyond them, the same.

    Attributes:
        failure: why the last result could not be kept; None if it is.
    """

    def __init__(self, store: Store, max_rows: int, device: str, max_bytes: int = 500_000_000):
        self._store, self._database, self._max_bytes = store, store.database, max_bytes
        if store.failure:
            self._max_bytes = min(max_bytes, MAX_BYTES_IN_MEMORY)
        self._max_rows, self._device, self._free_rows = max_rows, device, 0
        self.failure: str | None = None

    def add(self, result: Result, moment: Moment, image_id: int | None = None) -> bool:
        """Keep a result; if the disk fails, count it as lost and return False.

        Args:
            result: of the model.
            moment: when the frame was taken.
            image_id: of the kept image, from the queue.
        """
        frame = {"is_synced": moment.is_synced, "image_id": image_id}
        row = asdict(result) | moment.columns() | frame
        try:
            if self._free_rows == 0:
                self._free_rows = self._make_space()
            self._database.insert("results", row)
        except sqlite3.OperationalError as error:  # a full disk
            self.failure = f"cannot keep a result: {error}"
            self._store.count(results_lost=1)
            return False
        self.failure = None
        self._free_rows -= 1
        return True

    def date(self, now: Moment) -> None:
        """Date the results from before the clock was set, as far as that can be known.

        At most :data:`DATED_AT_ONCE` rows, so that they do not delay a new result.
        """
        query = "SELECT * FROM results WHERE NOT is_synced ORDER BY id LIMIT ?"
        undated = self._database.rows(query, DATED_AT_ONCE)
        resolved = [(read_moment(row).resolve(now), row["id"]) for row in undated]
        if dated := [(moment.wall_time.isoformat(), id) for moment, id in resolved if moment]:
            with self._database.transaction() as connection:
                statement = "UPDATE results SET wall_time = ?, is_synced = 1 WHERE id = ?"
                connection.executemany(statement, dated)

    def next(self, allow_partial: bool) -> Batch | None:
        """Return the next file to send; after a kill, it has the same rows and the same name.

        A row waits until its image was sent or dropped, so that it can name the image.

        Args:
            allow_partial: whether a file may have fewer than :data:`ROWS_PER_FILE` rows or
                :data:`BYTES_PER_FILE`.
        """
        number = self._sent_batches() + 1
        first = self._database.value("SELECT id FROM results WHERE batch = ? LIMIT 1", number)
        if first is None and not self._close_batch(number, allow_partial):
            return None
        rows = self._database.rows(
            "SELECT file_name, sha256, model, version AS model_version, label, score, reason, "
            'latency_ms, probabilities AS "probabilities [json]", ? AS scored_by, '
            "wall_time AS scored_at FROM results WHERE batch = ? ORDER BY id",
            *(f"edge:{self._device}", number),
        )
        content = "".join(json.dumps(dict(row), sort_keys=True) + "\n" for row in rows).encode()
        name = results_name(self._device, self._store.id, number, content)
        return Batch(number, name, content)

    def mark_sent(self, batch: Batch) -> None:
        """Record that a file of results is in the landing zone."""
        self._store.store_value(SENT_BATCHES, str(batch.number), durable=True)

    def history(self, rows: int) -> list[dict[str, Any]]:
        """Return points of a curve, evenly from the newest ``rows`` results, oldest first."""
        last = self._database.value("SELECT coalesce(max(id), 0) FROM results")
        ids = range(last, max(last - rows, 0), -max(rows // MAX_POINTS, 1))
        points = self._database.rows(
            "SELECT wall_time AS at, label, score, version, CASE WHEN length(probabilities) < ? "
            'THEN probabilities END AS "probabilities [json]" FROM results '
            "WHERE id IN (SELECT value FROM json_each(?)) AND score IS NOT NULL ORDER BY id",
            *(MAX_CURVE_BYTES, list(ids)),
        )
        return [dict(point) for point in points]

    def size(self) -> dict[str, int]:
        """Return how many results are kept, and how many of them were not sent."""
        (row,) = self._database.rows(
            "SELECT (SELECT count(*) FROM results) AS results, "
            "(SELECT count(*) FROM results WHERE batch IS NULL OR batch > ?) AS unsent",
            self._sent_batches(),
        )
        return dict(row)

    def _sent_batches(self) -> int:
        return int(self._store.stored_value(SENT_BATCHES) or 0)

    def _close_batch(self, number: int, allow_partial: bool) -> bool:
        """Put the oldest complete results into a new batch; return False if there are too few.

        A result is complete when its time is known and its image was sent or dropped.
        """
        # what is sent under a number has to stay what this device has under it
        with self._database.transaction(durable=True) as connection:
            ready = connection.execute(
                "SELECT id, coalesce(length(probabilities), 0) AS bytes FROM results "
                "WHERE batch IS NULL AND is_synced AND image_id IS NULL ORDER BY id LIMIT ?",
                (ROWS_PER_FILE,),
            ).fetchall()
            before = accumulate((row["bytes"] for row in ready), initial=0)
            ids = [
                row["id"]
                for row, so_far in zip(ready, before, strict=False)
                if so_far < BYTES_PER_FILE
            ]
            is_full = len(ready) == ROWS_PER_FILE or len(ids) < len(ready)
            if not ids or not (is_full or allow_partial):
                return False
            connection.executemany(
                "UPDATE results SET batch = ? WHERE id = ?", [(number, id) for id in ids]
            )
            return True

    def _make_space(self) -> int:
        """Delete the oldest rows if there are too many; return how many more may be added."""
        count: int = self._database.value("SELECT count(*) FROM results")
        most = min(self._max_rows, self._max_bytes * max(count, 1) // self._database.used_bytes())
        spare = min(max(most // 100, 1), ROWS_PER_FILE)
        if (excess := count + spare - most) > 0:
            self._delete_oldest(excess)
        return spare

    def _delete_oldest(self, count: int) -> None:
        """Delete results, first those that were sent, and count the unsent ones."""
        with self._database.transaction() as connection:
            sent = connection.execute(
                "DELETE FROM results WHERE id IN (SELECT id FROM results WHERE batch <= ? "
                "ORDER BY id LIMIT ?)",
                (self._sent_batches(), count),
            ).rowcount
            unsent = connection.execute(
                "DELETE FROM results WHERE id IN (SELECT id FROM results WHERE batch IS NULL "
                "ORDER BY id LIMIT ?)",
                (count - sent,),
            ).rowcount
        if unsent:
            self._store.count(results_dropped=unsent)
