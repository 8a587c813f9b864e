"""What a device keeps until it is sent: one SQLite file and a folder of images.

An image's file is complete before its row is written. A file without a row gets one at the next
start, so neither a kill nor a damaged database loses an image.
"""

import logging
import sqlite3
import threading
import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path

from edge.files.atomic import make_folder
from edge.files.disk_space import disk_failure
from edge.outbox.database import Database, StoreError
from edge.outbox.image_table import ImageTable

logger = logging.getLogger(__name__)

DATABASE = "store.sqlite"
IMAGES = "images"
IN_MEMORY = Path(":memory:")


class Store:
    """The database and the image files of this device, and what it counts.

    On a disk that is full, read-only or broken, the database is in memory, so that the device
    scores and sends its results all the same.

    Args:
        folder: created if it does not exist.

    Attributes:
        image_folder: the files of the images that wait.
        images: their rows.
        id: of this store, in the names of the files that it sends.
        failure: what is wrong with the disk, if the database is in memory.

    Raises:
        StoreError: another process uses the store, or this user may not write it.
    """

    def __init__(self, folder: Path):
        self.folder, self.image_folder = folder, folder / IMAGES
        self._lock, self._uncounted = threading.Lock(), Counter[str]()
        self.failure: str | None = None
        try:
            make_folder(self.image_folder)
            self._open(folder / DATABASE)
        except (OSError, StoreError, sqlite3.OperationalError):
            self.failure = disk_failure(folder)
            if self.failure is None:
                raise
            logger.error("the disk takes no files (%s): nothing survives a restart", self.failure)
            self._open(IN_MEMORY)

    def require_restart(self) -> None:
        """Raise :class:`StoreError` if the disk failed at the start and now takes files again."""
        if self.failure and disk_failure(self.folder) is None:
            raise StoreError(f"{self.folder} can be written again: start the agent again")

    def _open(self, path: Path) -> None:
        self.database = Database(path)
        self.images = ImageTable(self.database)
        if self.stored_value("id") is None:
            self.store_value("id", uuid.uuid4().hex[:12])
        self.id = str(self.stored_value("id"))

    def drop_images(self, ids: list[int]) -> int:
        """Delete images and their files; return how many of them still waited."""
        files = self.images.delete(ids)
        for file in files:
            with suppress(OSError):  # a file that stays gets a row at the next start
                (self.image_folder / file).unlink()
        return len(files)

    def count(self, **additions: int) -> None:
        """Add to the counts; on a full disk they wait in memory."""
        with self._lock:
            self._uncounted.update(additions)
            try:
                with self.database.transaction() as connection:
                    connection.executemany(
                        "INSERT INTO counts VALUES (?, ?) "
                        "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                        self._uncounted.items(),
                    )
                self._uncounted.clear()
            except sqlite3.OperationalError as error:
                logger.debug("the counts are written later: %s", error)

    def counts(self) -> dict[str, int]:
        """Return the counts since this store was created."""
        with self._lock:
            stored = dict(map(tuple, self.database.rows("SELECT name, value FROM counts")))
            return dict(Counter(stored) + self._uncounted)

    def stored_value(self, name: str) -> str | None:
        """Return the value of a fact; None if it was never set."""
        value: str | None = self.database.value("SELECT value FROM facts WHERE name = ?", name)
        return value

    def store_value(self, name: str, value: str, durable: bool = False) -> None:
        """Set the value of a fact."""
        self.database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value), durable)

    def close(self) -> None:
        """Close the database."""
        self.database.close()
