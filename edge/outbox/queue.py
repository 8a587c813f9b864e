"""The bounded queue of images for the landing zone; it drops the oldest unimportant ones first."""

import logging
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from edge.cameras.camera import Frame
from edge.cameras.jpeg import encode_pixels, is_jpeg
from edge.files.atomic import write_atomically
from edge.outbox.image_table import NamedImage, UndatedImage, image_file
from edge.outbox.moment import Moment
from edge.outbox.queue_files import new_file_name, recover_files, write_dated
from edge.outbox.reading import Reader
from edge.outbox.reason import Reason
from edge.outbox.stamp import Stamp
from edge.outbox.store import Store
from edge.protocol.landing_names import image_name

logger = logging.getLogger(__name__)

EXIF_BYTES = 1024


@dataclass
class Queue:
    """The images that wait.

    Attributes:
        store: where they are kept.
        max_bytes: of all images.
        min_free_bytes: free space that stays on the disk.
        device: for the images' names.
        view: for the images' names.
        free_bytes: returns the free space of a folder's disk.
        failure: why the last image could not be kept; None if it is.
    """

    store: Store
    max_bytes: int
    min_free_bytes: int
    device: str
    view: str
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
    failure: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._reader = Reader(self.store)
        self._unrecorded: tuple[NamedImage, str] | None = None
        if self.store.failure is None:
            recover_files(self.store, self.device, self.view)

    def keep(self, frame: Frame, camera_model: str, reason: Reason, moment: Moment) -> int | None:
        """Add an image to the queue; return its ID, or None if there is no space.

        Args:
            frame: a JPEG file keeps its bytes; anything else is encoded and gets EXIF.
            camera_model: for EXIF.
            reason: why it is kept.
            moment: when it was taken. An image is not sent before its time is known.
        """
        is_original = is_jpeg(frame.encoded)
        content = frame.encoded if is_jpeg(frame.encoded) else encode_pixels(frame.pixels)
        stamp = Stamp(frame.label, camera_model, is_original, frame.exposure, reason)
        try:
            if self._make_space(len(content) + EXIF_BYTES, reason.rank):
                image_id = self._write(content, stamp, reason, moment)
                self.failure = None
                return image_id
            self._warn("cannot keep an image: there is no space, and others matter more")
        except (OSError, sqlite3.OperationalError) as error:  # most often a full disk
            self._warn(f"cannot keep an image: {error}")
        self.store.count(dropped=1)
        return None

    def next(self) -> NamedImage | None:
        """Return the image to send: the oldest of the most important ones with a known time.

        Images that could not be read come last.
        """
        if self._unrecorded:  # the disk was full
            self.mark_sent(*self._unrecorded)
        return self.store.images.next_to_send(self._reader.failing)

    def path(self, image: NamedImage) -> Path:
        """Return the path of an image's file."""
        return self.store.image_folder / image.file

    def read(self, image: NamedImage, uptime: float) -> bytes | None:
        """Return an image's bytes, or None if it fails for now, was dropped, or is given up."""
        return self._reader.read(image.id, self.path(image), uptime)

    def mark_sent(self, image: NamedImage, landed_as: str) -> None:
        """Record where an image is in the landing zone, and delete its row and then its file.

        After a kill in between, the file is recovered and sent again as the same image. In the
        other order, the image would be lost.
        """
        self._unrecorded = image, landed_as
        path = self.path(image)
        try:
            self.store.images.delete_sent(image, landed_as)
        except sqlite3.OperationalError:  # a full disk: deleting the file frees space
            path.unlink(missing_ok=True)
            self.store.images.delete_sent(image, landed_as)
        self._unrecorded = None
        with suppress(OSError):  # it may be deleted already
            path.unlink()
        self.store.count(sent=1)

    def date(self, now: Moment) -> None:
        """Date the images that were taken before the clock was set.

        The time of an image from before a restart cannot be known any more: its name says 1970,
        and its EXIF has no time.
        """
        for image in self.store.images.undated():
            if moment := image.moment.resolve(now):
                self._date(image, moment, now.uptime)

    def size(self) -> dict[str, int]:
        """Return how many images wait, their bytes, and how many are undated or unreadable."""
        return self.store.images.total(self._reader.failing)

    def _write(self, content: bytes, stamp: Stamp, reason: Reason, moment: Moment) -> int:
        name = None
        if moment.is_synced:
            content = stamp.apply(content, moment.wall_time)
            name = image_name(moment.wall_time, self.device, self.view, stamp.label)
        image = image_file(new_file_name(reason, name), name, content)
        path = self.store.image_folder / image.file
        try:
            write_atomically(path, content)
            return self.store.images.add(image, reason, moment, stamp)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _date(self, image: UndatedImage, moment: Moment, uptime: float) -> None:
        name = image_name(moment.wall_time, self.device, self.view, image.stamp.label)
        captured_at = moment.wall_time if moment.is_synced else None
        try:
            content = self._reader.read(image.id, self.store.image_folder / image.file, uptime)
            if content is not None:
                write_dated(self.store, image, content, name, captured_at)
        # on a full disk it stays undated; sending others frees space
        except (OSError, sqlite3.OperationalError) as error:
            self._warn(f"cannot date an image: {error}")

    def _warn(self, warning: str) -> None:
        if not self.failure:
            logger.warning("%s", warning)
        self.failure = warning

    def _make_space(self, size: int, rank: int) -> bool:
        """Drop images of no higher rank until a new one fits; return whether it does."""
        total, free = self.size()["bytes"], self.free_bytes(self.store.folder)
        missing = max(total + size - self.max_bytes, size + self.min_free_bytes - free)
        if missing <= 0:
            return True
        victims = []
        for image_id, image_size in self.store.images.sizes_up_to(rank):
            victims.append(image_id)
            missing -= image_size
            if missing <= 0:
                self.store.count(dropped=self.store.drop_images(victims))
                return True
        return False
