"""Reads the images that wait; what the disk does not give back is tried for some minutes."""

import errno
import logging
from contextlib import suppress
from pathlib import Path

from edge.outbox.queue_files import forget, set_aside
from edge.outbox.store import Store

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 300.0

GONE = {errno.ENOENT, errno.EISDIR}
"""What a disk says that works, of a file that is not there."""


class Reader:
    """Reads images, and gives up one that the disk has not given back for some minutes.

    Where the power is weak or the card is reset, any file may fail for a while.

    Args:
        store: where they are.
    """

    def __init__(self, store: Store):
        self._store = store
        self._failing: dict[int, float] = {}

    @property
    def failing(self) -> str:
        """The numbers of the images that could not be read, as a list in SQL."""
        return ", ".join(map(str, list(self._failing)))  # another thread changes them

    def read(self, number: int, path: Path, uptime: float) -> bytes | None:
        """An image's bytes; None where it was dropped meanwhile, fails for now, or is given up.

        Args:
            number: of the image.
            path: its file.
            uptime: of now, seconds.

        Raises:
            OSError, sqlite3.OperationalError: it cannot be given up, as on a full disk.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            if self._store.rows("SELECT id FROM images WHERE id = ?", (number,)):
                self._failed(number, path, error, uptime)
            return None
        self._failing.pop(number, None)
        return content

    def _failed(self, number: int, path: Path, error: OSError, uptime: float) -> None:
        if number not in self._failing:
            logger.warning("the image %s cannot be read (%s): tried again", path.name, error)
        since = self._failing.setdefault(number, uptime)
        if error.errno not in GONE and uptime - since < PATIENCE_SECONDS:
            return
        logger.error("the image %s cannot be read (%s) and is lost", path.name, error)
        with suppress(FileNotFoundError):
            set_aside(self._store, path)
        forget(self._store, [number])
        self._store.count(lost=1)
        del self._failing[number]
        # a card that gives nothing back costs one image in these minutes, and not all
        self._failing = dict.fromkeys(self._failing, uptime)
