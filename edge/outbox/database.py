"""The device's SQLite file: its schema, how it is opened, and its transactions.

SQLite's write-ahead log keeps it intact wherever the process ends.
"""

import json
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from edge.inference.errors import UserError

logger = logging.getLogger(__name__)

# statements take lists and objects as JSON; a query gets them back as "column [json]"
sqlite3.register_adapter(list, json.dumps)
sqlite3.register_adapter(dict, json.dumps)
sqlite3.register_converter("json", json.loads)

DAMAGED = "store.damaged.sqlite"
LOCK_SECONDS = 5.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS images (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    file TEXT NOT NULL UNIQUE,      -- below the folder of images
    name TEXT,                      -- in the landing zone; NULL until its time is known
    sha256 TEXT,
    bytes INTEGER NOT NULL,
    reason TEXT NOT NULL,           -- why it is kept
    rank INTEGER NOT NULL,          -- the lowest is dropped first
    wall_time TEXT NOT NULL,        -- the clock, ISO
    uptime REAL NOT NULL,
    boot TEXT NOT NULL,
    stamp TEXT                      -- JSON: what EXIF will say once the time is known
);
CREATE INDEX IF NOT EXISTS images_by_rank ON images (rank, id);
CREATE TABLE IF NOT EXISTS results (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    wall_time TEXT NOT NULL,
    uptime REAL NOT NULL,
    boot TEXT NOT NULL,
    is_synced INTEGER NOT NULL,     -- whether the clock was set
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    label TEXT,
    score REAL,
    latency_ms REAL,
    reason TEXT,                    -- why there is no score
    probabilities TEXT,             -- JSON
    image_id INTEGER,               -- the kept image until it is sent
    file_name TEXT,                 -- the image in the landing zone after it was sent
    sha256 TEXT,
    batch INTEGER                   -- the file of results that it is sent in
);
CREATE INDEX IF NOT EXISTS results_by_batch ON results (batch, id);
CREATE INDEX IF NOT EXISTS results_by_image ON results (image_id) WHERE image_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS results_undated ON results (id) WHERE NOT is_synced;
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class StoreError(UserError):
    """The store cannot be opened."""


class Database:
    """An SQLite file for several threads, with one transaction at a time.

    A damaged file is renamed to :data:`DAMAGED`, and an empty one takes its place.

    Args:
        path: the file; it is created if it does not exist.

    Raises:
        StoreError: another process uses the file, or this user may not write it.
    """

    def __init__(self, path: Path):
        self._lock = threading.RLock()
        self._connection = _open(path)

    @contextmanager
    def transaction(self, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Commit all statements of the block, or none if it raises.

        Args:
            durable: sync the transaction and all before it to disk. Otherwise, a power cut may
                undo the last seconds.

        Raises:
            sqlite3.Error: SQLite fails, as on a full disk.
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

    def rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """Return the rows of a query."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def value(self, query: str, *values: Any) -> Any:
        """Return the first column of a query's first row; None without a row."""
        return next((row[0] for row in self.rows(query, *values)), None)

    def used_bytes(self) -> int:
        """Return the bytes of the file that hold rows; deleted ones leave space for others."""
        query = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, "
        return cast(int, self.value(f"{query}pragma_freelist_count, pragma_page_size"))

    def execute(self, statement: str, values: Any = (), durable: bool = False) -> sqlite3.Cursor:
        """Run one statement as a :meth:`transaction`."""
        with self.transaction(durable=durable) as connection:
            return connection.execute(statement, values)

    def insert(self, table: str, row: dict[str, Any]) -> int:
        """Insert a row, given by column, as a :meth:`transaction`; return its ID."""
        columns, places = ", ".join(row), ", ".join(f":{column}" for column in row)
        # both are names of this package's own, and no values
        added = self.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", row)  # noqa: S608
        return cast(int, added.lastrowid)

    def close(self) -> None:
        """Close the file; SQLite writes its log back into it."""
        with self._lock:
            self._connection.close()


def _open(path: Path) -> sqlite3.Connection:
    try:
        return _connect(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise StoreError(
                f"cannot open {path} ({error}): stop the other agent, or run this one as a user "
                "who may write there"
            ) from error
        logger.error("%s is damaged (%s) and is renamed to %s", path, error, DAMAGED)
        os.replace(path, path.with_name(DAMAGED))
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=LOCK_SECONDS, detect_types=sqlite3.PARSE_COLNAMES, check_same_thread=False
    )
    try:
        connection.row_factory = sqlite3.Row
        # no second agent, and no shared index file, which would need space on a full disk
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        # a power cut may undo the last seconds but damages nothing; and it spares the SD card
        connection.execute("PRAGMA synchronous = NORMAL")
        # the log stays below half a megabyte: disks may be small or nearly full
        connection.execute("PRAGMA wal_autocheckpoint = 100")
        connection.execute("PRAGMA journal_size_limit = 400000")
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("SQLite's quick_check fails")
        connection.executescript(SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection
