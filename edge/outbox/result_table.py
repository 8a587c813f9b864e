"""The rows of results and of the files that they are sent in: all SQL statements about them."""

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from edge.outbox.database import Database
from edge.outbox.moment import Moment, read_moment
from edge.outbox.result import Result


@dataclass(frozen=True)
class ResultRow:
    """A stored result, with the names that the landing zone uses."""

    file_name: str | None
    sha256: str | None
    model: str
    model_version: str
    label: str | None
    score: float | None
    latency_ms: float | None
    reason: str | None
    scored_at: str
    probabilities: dict[str, float] | None


class ResultTable:
    """The results on this device; every method is one transaction.

    Args:
        database: where the rows are.
    """

    def __init__(self, database: Database):
        self._database = database

    def add(self, result: Result, moment: Moment, image_id: int | None) -> None:
        """Add a result; ``image_id`` is the kept image of its frame."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO results (wall_time, uptime, boot, is_synced, model, version, label, "
                "score, latency_ms, reason, probabilities, image_id) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(moment.wall_time.isoformat(), moment.uptime, moment.boot, moment.is_synced),
                    *(result.model, result.version, result.label, result.score),
                    *(result.latency_ms, result.reason, json.dumps(result.probabilities), image_id),
                ),
            )

    def undated(self, limit: int) -> list[tuple[int, Moment]]:
        """Return the ID and moment of the oldest results whose time is not known yet."""
        rows = self._database.rows(
            "SELECT id, wall_time, uptime, boot FROM results WHERE NOT is_synced "
            "ORDER BY id LIMIT ?",
            (limit,),
        )
        return [(row["id"], read_moment(row)) for row in rows]

    def date(self, wall_times: Collection[tuple[int, datetime]]) -> None:
        """Set the times of results by their IDs."""
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE results SET wall_time = ?, is_synced = 1 WHERE id = ?",
                [(wall_time.isoformat(), id) for id, wall_time in wall_times],
            )

    def open_batch(self) -> int | None:
        """Return the number of the oldest batch that was not sent."""
        rows = self._database.rows(
            "SELECT number FROM batches WHERE NOT sent ORDER BY number LIMIT 1"
        )
        return rows[0]["number"] if rows else None

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

    def in_batch(self, number: int) -> list[ResultRow]:
        """Return the results of a batch, oldest first."""
        return [
            _result(row)
            for row in self._database.rows(
                "SELECT * FROM results WHERE batch = ? ORDER BY id", (number,)
            )
        ]

    def mark_sent(self, number: int) -> None:
        """Mark a batch as sent."""
        with self._database.transaction(durable=True) as connection:
            connection.execute("UPDATE batches SET sent = 1 WHERE number = ?", (number,))

    def last_id(self) -> int:
        """Return the ID of the newest result, or 0."""
        (row,) = self._database.rows("SELECT coalesce(max(id), 0) AS id FROM results")
        return int(row["id"])

    def scored(self, ids: Collection[int]) -> list[ResultRow]:
        """Return those of some results that have a score, oldest first."""
        return [
            _result(row)
            for row in self._database.rows(
                "SELECT * FROM results WHERE id IN (SELECT value FROM json_each(?)) "
                "AND score IS NOT NULL ORDER BY id",
                (json.dumps(list(ids)),),
            )
        ]

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
        return int(self._database.rows("SELECT count(*) AS n FROM results")[0]["n"])

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


def _result(row: sqlite3.Row) -> ResultRow:
    return ResultRow(
        file_name=row["file_name"],
        sha256=row["sha256"],
        model=row["model"],
        model_version=row["version"],
        label=row["label"],
        score=row["score"],
        latency_ms=row["latency_ms"],
        reason=row["reason"],
        scored_at=row["wall_time"],
        probabilities=json.loads(row["probabilities"]),
    )
