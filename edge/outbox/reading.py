"""Reads the images that wait, and retries for some minutes if the disk fails."""

import errno
import logging
from contextlib import suppress
from pathlib import Path

from edge.outbox.queue_files import move_unreadable
from edge.outbox.store import Store

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 300.0

GONE = {errno.ENOENT, errno.EISDIR}
"""What an intact disk answers for a file that does not exist."""


class Reader:
    """Reads images, and gives up on one that the disk has failed to read for some minutes.

    While power is low or an SD card resets, any file may fail.

    Args:
        store: where the images are.
    """

    def __init__(self, store: Store):
        self._store = store
        self._failing: dict[int, float] = {}

    @property
    def failing(self) -> list[int]:
        """The IDs of the images that could not be read."""
        return list(self._failing)  # another thread changes them

    def read(self, image_id: int, path: Path, uptime: float) -> bytes | None:
        """Return an image's bytes, or None if it fails for now, was dropped, or is given up.

        Args:
            image_id: of its row.
            path: its file.
            uptime: now, in seconds.

        Raises:
            OSError, sqlite3.OperationalError: it cannot be given up, as on a full disk.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            if self._store.images.has(image_id):
                self._handle_failure(image_id, path, error, uptime)
            return None
        self._failing.pop(image_id, None)
        return content

    def _handle_failure(self, image_id: int, path: Path, error: OSError, uptime: float) -> None:
        if image_id not in self._failing:
            logger.warning("cannot read the image %s (%s): trying again", path.name, error)
        since = self._failing.setdefault(image_id, uptime)
        if error.errno not in GONE and uptime - since < PATIENCE_SECONDS:
            return
        logger.error("cannot read the image %s (%s): it is lost", path.name, error)
        with suppress(FileNotFoundError):
            move_unreadable(self._store, path)
        self._store.drop_images([image_id])
        self._store.count(lost=1)
        del self._failing[image_id]
        # an SD card that fails altogether costs one image in these minutes, not all of them
        self._failing = dict.fromkeys(self._failing, uptime)
