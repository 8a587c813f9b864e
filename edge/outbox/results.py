"""What the model said of each frame: kept on the device, and sent in files of many rows."""

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from edge.agent.clock import Moment
from edge.inference.record import ModelRecord
from edge.outbox.store import Store
from edge.protocol.landing_names import results_name

ROWS_A_FILE = 1000
DATED_AT_ONCE = 1000
POINTS = 300
"""Of a curve."""


@dataclass(frozen=True)
class Result:
    """What a model said of one frame.

    Attributes:
        model: the registered model's name.
        version: its version.
        label: the class that the record decides on; None where there is no score.
        score: its probability, 0–1.
        probabilities: of each label.
        ms: milliseconds for preparing and scoring.
        reason: why there is no score.
    """

    model: str
    version: str
    label: str | None = None
    score: float | None = None
    probabilities: dict[str, float] | None = None
    ms: float | None = None
    reason: str | None = None

    @classmethod
    def of(
        cls, model: str, version: str, record: ModelRecord, probabilities: np.ndarray, ms: float
    ) -> "Result":
        """From a network's output for one image, ``float32 [classes]``."""
        (answer,) = record.answers(probabilities[None])
        return cls(model, version, *answer, round(ms, 2))

    @property
    def margin(self) -> float:
        """How far the likeliest class is before the next one, 0–1; 1 without a score."""
        if not self.probabilities or len(self.probabilities) < 2:
            return 1.0
        first, second = sorted(self.probabilities.values(), reverse=True)[:2]
        return first - second


@dataclass(frozen=True)
class Batch:
    """A file of results to send: its name never stands for other rows."""

    number: int
    name: str
    content: bytes


class Results:
    """The local store of scores.

    Args:
        store: where they are kept.
        most: rows; beyond them the oldest go, those that were sent first.
        device: for the rows and the files' names.
    """

    def __init__(self, store: Store, most: int, device: str):
        self._store, self._most, self._device = store, most, device
        self._room = 0

    def add(self, result: Result, moment: Moment, image: int | None = None) -> bool:
        """Keep a result; returns whether there was space for it.

        Args:
            result: what the model said.
            moment: when the frame was taken.
            image: the number of the kept image, as the queue gave it.
        """
        try:
            if self._room == 0:
                self._room = self._make_room()
            with self._store.transaction() as database:
                database.execute(
                    "INSERT INTO results (shown, uptime, boot, known, model, version, label, score,"
                    " ms, reason, probabilities, image) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                    (moment.shown.isoformat(), moment.uptime, moment.boot, moment.known)
                    + (result.model, result.version, result.label, result.score, result.ms)
                    + (result.reason, json.dumps(result.probabilities), image),
                )
        except sqlite3.OperationalError:  # a full disk
            return False
        self._room -= 1
        return True

    def date(self, now: Moment) -> None:
        """Date what was scored before the clock was set, where that can be known.

        At most :data:`DATED_AT_ONCE` rows, so that a result of now need not wait for them.
        """
        dates = []
        for row in self._store.rows(
            "SELECT id, shown, uptime, boot FROM results WHERE NOT known ORDER BY id LIMIT ?",
            (DATED_AT_ONCE,),
        ):
            shown = datetime.fromisoformat(row["shown"])
            moment = Moment(shown, row["uptime"], row["boot"], known=False).dated(now)
            if moment.known or row["boot"] != now.boot:
                dates.append((moment.shown.isoformat(), row["id"]))
        if dates:
            with self._store.transaction() as database:
                database.executemany("UPDATE results SET shown = ?, known = 1 WHERE id = ?", dates)

    def next(self, however_few: bool) -> Batch | None:
        """The next file to send; after a kill the same rows under the same name again.

        A row waits until its image was sent or dropped, so the file can say where that is.

        Args:
            however_few: make a file of less than :data:`ROWS_A_FILE` rows too.
        """
        open_batches = self._store.rows(
            "SELECT number FROM batches WHERE NOT sent ORDER BY number LIMIT 1"
        )
        number = open_batches[0]["number"] if open_batches else self._close_a_batch(however_few)
        if number is None:
            return None
        rows = self._store.rows("SELECT * FROM results WHERE batch = ? ORDER BY id", (number,))
        lines = [json.dumps(self._stated(row), sort_keys=True) + "\n" for row in rows]
        content = "".join(lines).encode()
        name = results_name(self._device, self._store.id, number, content)
        return Batch(number, name, content)

    def sent(self, batch: Batch) -> None:
        """A file of results is in the landing zone."""
        with self._store.transaction(durable=True) as database:
            database.execute("UPDATE batches SET sent = 1 WHERE number = ?", (batch.number,))

    def history(self, rows: int) -> list[dict]:
        """Of the newest ``rows`` results as many as make a curve, evenly, oldest first."""
        last = self._store.rows("SELECT max(id) AS id FROM results")[0]["id"] or 0
        ids = range(last, max(last - rows, 0), -max(rows // POINTS, 1))
        found = self._store.rows(
            "SELECT shown, label, score, version, probabilities FROM results WHERE id IN "
            f"({', '.join('?' * len(ids))}) AND score IS NOT NULL ORDER BY id",
            tuple(ids),
        )
        return [
            {"at": row["shown"], "label": row["label"], "score": row["score"]}
            | {"version": row["version"], "probabilities": json.loads(row["probabilities"])}
            for row in found
        ]

    def size(self) -> dict[str, int]:
        """How many results are kept, and how many of them are not sent yet."""
        return dict(
            self._store.rows(
                "SELECT (SELECT count(*) FROM results) AS results, "
                "(SELECT count(*) FROM results WHERE batch IS NULL OR batch IN "
                "(SELECT number FROM batches WHERE NOT sent)) AS unsent"
            )[0]
        )

    def _close_a_batch(self, however_few: bool) -> int | None:
        """Put the oldest rows that are complete into a new batch; returns its number."""
        # what goes to the landing zone under its number has to be what stands under it here
        with self._store.transaction(durable=True) as database:
            ready = database.execute(
                "SELECT id FROM results WHERE batch IS NULL AND known AND image IS NULL "
                "ORDER BY id LIMIT ?",
                (ROWS_A_FILE,),
            ).fetchall()
            if not ready or (len(ready) < ROWS_A_FILE and not however_few):
                return None
            number = database.execute("INSERT INTO batches (sent) VALUES (0)").lastrowid
            database.executemany(
                "UPDATE results SET batch = ? WHERE id = ?", [(number, row["id"]) for row in ready]
            )
            return number

    def _stated(self, row: sqlite3.Row) -> dict:
        """A row as the lake takes it."""
        return {
            "file_name": row["file_name"],
            "sha256": row["sha256"],
            "model": row["model"],
            "model_version": row["version"],
            "label": row["label"],
            "score": row["score"],
            "latency_ms": row["ms"],
            "reason": row["reason"],
            "scored_by": f"edge:{self._device}",
            "scored_at": row["shown"],
            "probabilities": json.loads(row["probabilities"]),
        }

    def _make_room(self) -> int:
        """Delete the oldest rows where there are too many; returns for how many there is room."""
        total = self._store.rows("SELECT count(*) AS n FROM results")[0]["n"]
        spare = max(self._most // 100, 1)
        if total + spare <= self._most:
            return min(self._most - total, spare)
        excess = total + spare - self._most
        with self._store.transaction() as database:
            gone = database.execute(
                "DELETE FROM results WHERE id IN (SELECT id FROM results WHERE batch IN "
                "(SELECT number FROM batches WHERE sent) ORDER BY id LIMIT ?)",
                (excess,),
            ).rowcount
            unsent = 0
            if gone < excess:
                unsent = database.execute(
                    "DELETE FROM results WHERE id IN (SELECT id FROM results WHERE batch IS NULL "
                    "ORDER BY id LIMIT ?)",
                    (excess - gone,),
                ).rowcount
            database.execute(
                "DELETE FROM batches WHERE sent AND number NOT IN "
                "(SELECT batch FROM results WHERE batch IS NOT NULL)"
            )
        if unsent:
            self._store.count(results_dropped=unsent)
        return spare
