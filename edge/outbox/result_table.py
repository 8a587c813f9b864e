"""The rows of results and of the files that they are sent in: all SQL statements about them."""

import json
from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from typing import Any

from edge.outbox.database import Database
from edge.outbox.moment import Moment, read_moment
from edge.outbox.result import Result


class ResultTable:
    """The results on this device; every method is one transaction.

    Args:
        database: where the rows are.
    """

    def __init__(self, database: Database):
        self._database = database

    def add(self, result: Result, moment: Moment, image_id: int | None) -> None:
        """Add a result; ``image_id`` is the kept image of its frame."""
        frame = {"is_synced": moment.is_synced, "image_id": image_id}
        row = asdict(result) | moment.columns() | frame
        self._database.insert("results", row | {"probabilities": json.dumps(result.probabilities)})

    def undated(self, limit: int) -> list[tuple[int, Moment]]:
        """Return the ID and moment of the oldest results whose time is not known yet."""
        query = "SELECT * FROM results WHERE NOT is_synced ORDER BY id LIMIT ?"
        return [(row["id"], read_moment(row)) for row in self._database.rows(query, (limit,))]

    def date(self, wall_times: Collection[tuple[int, datetime]]) -> None:
        """Set the times of results by their IDs."""
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE results SET wall_time = ?, is_synced = 1 WHERE id = ?",
                [(wall_time.isoformat(), id) for id, wall_time in wall_times],
            )

    def open_batch(self) -> int | None:
        """Return the number of the oldest batch that was not sent."""
        query = "SELECT number FROM batches WHERE NOT sent ORDER BY number LIMIT 1"
        number: int | None = self._database.value(query)
        return number

    def close_batch(self, at_least: int, at_most: int) -> int | None:
        """Put the oldest complete results into a new batch and return its number.

        A result is complete when its time is known and its image was sent or dropped. Returns
        None if there are fewer than ``at_least``.
        """
        # what is sent under a number has to stay what this device has under it
        with self._database.transaction(durable=True) as connection:
            ready = connection.execute(
                "SELECT id FROM results WHERE batch IS NULL AND is_synced AND image_id IS NULL "
                "ORDER BY id LIMIT ?",
                (at_most,),
            ).fetchall()
            if len(ready) < at_least:
                return None
            number = connection.execute("INSERT INTO batches (sent) VALUES (0)").lastrowid
            connection.executemany(
                "UPDATE results SET batch = ? WHERE id = ?", [(number, row["id"]) for row in ready]
            )
            return number

    def in_batch(self, number: int) -> list[dict[str, Any]]:
        """Return the results of a batch, oldest first, as files of results name their values."""
        return self._decoded(
            "SELECT file_name, sha256, model, version AS model_version, label, score, reason, "
            "latency_ms, probabilities, wall_time AS scored_at FROM results WHERE batch = ? "
            "ORDER BY id",
            number,
        )

    def mark_sent(self, number: int) -> None:
        """Mark a batch as sent."""
        statement = "UPDATE batches SET sent = 1 WHERE number = ?"
        self._database.execute(statement, (number,), durable=True)

    def last_id(self) -> int:
        """Return the ID of the newest result, or 0."""
        return int(self._database.value("SELECT coalesce(max(id), 0) FROM results"))

    def scored(self, ids: Collection[int]) -> list[dict[str, Any]]:
        """Return those of some results that have a score, oldest first, for the page's curve."""
        return self._decoded(
            "SELECT wall_time AS at, label, score, version, probabilities FROM results "
            "WHERE id IN (SELECT value FROM json_each(?)) AND score IS NOT NULL ORDER BY id",
            json.dumps(list(ids)),
        )

    def total(self) -> dict[str, int]:
        """Return how many results there are, and how many of them were not sent."""
        (row,) = self._database.rows(
            "SELECT (SELECT count(*) FROM results) AS results, "
            "(SELECT count(*) FROM results WHERE batch IS NULL OR batch IN "
            "(SELECT number FROM batches WHERE NOT sent)) AS unsent"
        )
        return dict(row)

    def count(self) -> int:
        """Return how many results there are."""
        return int(self._database.value("SELECT count(*) FROM results"))

    def delete_oldest(self, count: int) -> int:
        """Delete results, first those that were sent; return how many unsent ones that took."""
        with self._database.transaction() as connection:
            sent = connection.execute(
                "DELETE FROM results WHERE id IN (SELECT id FROM results WHERE batch IN "
                "(SELECT number FROM batches WHERE sent) ORDER BY id LIMIT ?)",
                (count,),
            ).rowcount
            unsent = connection.execute(
                "DELETE FROM results WHERE id IN (SELECT id FROM results WHERE batch IS NULL "
                "ORDER BY id LIMIT ?)",
                (count - sent,),
            ).rowcount
            connection.execute(
                "DELETE FROM batches WHERE sent AND number NOT IN "
                "(SELECT batch FROM results WHERE batch IS NOT NULL)"
            )
        return unsent

    def _decoded(self, query: str, value: Any) -> list[dict[str, Any]]:
        rows = map(dict, self._database.rows(query, (value,)))
        return [row | {"probabilities": json.loads(row["probabilities"])} for row in rows]
