"""What a device keeps until it is sent: one SQLite file and a folder of images beside it.

SQLite's write-ahead log leaves it whole wherever the process ends. An image's file is complete
before its row is written; a file without a row is taken in again at the next start, so neither a
kill nor a damaged database loses one.
"""

import logging
import os
import sqlite3
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.inference.errors import UserError

logger = logging.getLogger(__name__)

DATABASE = "store.sqlite"
DAMAGED = "store.damaged.sqlite"
LOCK_SECONDS = 5.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS images (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    file TEXT NOT NULL UNIQUE,      -- below the folder of images
    name TEXT,                      -- in the landing zone; NULL while its time is not known
    sha256 TEXT,
    bytes INTEGER NOT NULL,
    reason TEXT NOT NULL,           -- why it is kept
    rank INTEGER NOT NULL,          -- the lowest goes first where there is no space
    shown TEXT NOT NULL,            -- the clock, ISO
    uptime REAL NOT NULL,
    boot TEXT NOT NULL,
    stamp TEXT                      -- JSON: what EXIF will say, while the time is not known
);
CREATE INDEX IF NOT EXISTS images_by_rank ON images (rank, id);
CREATE TABLE IF NOT EXISTS results (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    shown TEXT NOT NULL,
    uptime REAL NOT NULL,
    boot TEXT NOT NULL,
    known INTEGER NOT NULL,         -- whether the clock was set
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    label TEXT,
    score REAL,
    ms REAL,
    reason TEXT,                    -- why there is no score
    probabilities TEXT,             -- JSON
    image INTEGER,                -- the kept image, while it waits
    file_name TEXT,                 -- … and where it is, once it was sent
    sha256 TEXT,
    batch INTEGER                   -- the file of results that it is sent in
);
CREATE INDEX IF NOT EXISTS results_by_batch ON results (batch, id);
CREATE INDEX IF NOT EXISTS results_by_image ON results (image) WHERE image IS NOT NULL;
CREATE INDEX IF NOT EXISTS results_undated ON results (id) WHERE NOT known;
CREATE TABLE IF NOT EXISTS batches (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    sent INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class StoreError(UserError):
    """The store cannot be opened."""


class Store:
    """The database, for several threads; one transaction at a time.

    Args:
        folder: made where it is missing.

    Raises:
        StoreError: another process has it, or it may not be written.
    """

    def __init__(self, folder: Path):
        self.folder, self.images = folder, folder / "images"
        self.images.mkdir(parents=True, exist_ok=True)
        self._lock, self._uncounted = threading.RLock(), Counter()
        self._connection = self._opened()
        if (known := self.fact("id")) is None:
            known = uuid.uuid4().hex[:12]
            self.note("id", known)
        self.id = known

    @contextmanager
    def transaction(self, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """All of what is done within, or nothing; raises what SQLite raises, as on a full disk.

        Args:
            durable: no power cut undoes it, or what was done before it; else one may undo the
                last seconds.
        """
        with self._lock:
            if durable:
                self._connection.execute("PRAGMA synchronous = FULL")
            try:
                with self._connection:
                    yield self._connection
            finally:
                if durable:
                    self._connection.execute("PRAGMA synchronous = NORMAL")

    def rows(self, query: str, values: tuple = ()) -> list[sqlite3.Row]:
        """The rows of a query."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def count(self, **additions: int) -> None:
        """Add to the counts; on a full disk they wait in memory."""
        with self._lock:
            self._uncounted.update(additions)
            try:
                with self.transaction() as database:
                    database.executemany(
                        "INSERT INTO counts VALUES (?, ?) "
                        "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                        self._uncounted.items(),
                    )
                self._uncounted.clear()
            except sqlite3.OperationalError as error:
                logger.debug("counted later: %s", error)

    def counts(self) -> dict[str, int]:
        """The counts since this store was made."""
        with self._lock:
            stored = {row["name"]: row["value"] for row in self.rows("SELECT * FROM counts")}
            return dict(Counter(stored) + self._uncounted)

    def fact(self, name: str) -> str | None:
        """What was noted under this name; None where nothing was."""
        found = self.rows("SELECT value FROM facts WHERE name = ?", (name,))
        return found[0]["value"] if found else None

    def note(self, name: str, value: str) -> None:
        """Keep a fact, in the place of an earlier one of this name."""
        with self.transaction() as database:
            database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def close(self) -> None:
        """Write the log back into the database."""
        with self._lock:
            self._connection.close()

    def _opened(self) -> sqlite3.Connection:
        path = self.folder / DATABASE
        try:
            return _connected(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise StoreError(
                    f"cannot open {path} ({error}): is another agent running, or may this user "
                    "not write there?"
                ) from error
            logger.error("%s is damaged (%s) and is set aside as %s", path, error, DAMAGED)
            os.replace(path, self.folder / DAMAGED)
            for ending in ("-wal", "-shm"):
                path.with_name(path.name + ending).unlink(missing_ok=True)
            return _connected(path)


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=LOCK_SECONDS)
    try:
        connection.row_factory = sqlite3.Row
        # no second agent, and no shared index beside the file: that would need space on a full disk
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        # a power cut may lose the last seconds, but damages nothing; and it spares the SD card
        connection.execute("PRAGMA synchronous = NORMAL")
        # the log stays below half a megabyte: disks may be small, or nearly full
        connection.execute("PRAGMA wal_autocheckpoint = 100")
        connection.execute("PRAGMA journal_size_limit = 400000")
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("its check fails")
        connection.executescript(SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection
