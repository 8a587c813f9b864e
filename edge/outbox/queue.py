"""Images that wait for the landing zone: bounded, the oldest unimportant ones dropped first."""

import hashlib
import json
import logging
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge.agent.clock import Moment
from edge.cameras.camera import Frame
from edge.cameras.jpeg import encode_pixels, is_jpeg
from edge.files.atomic import write_synced
from edge.outbox.queue_files import forget, forget_landed, new_file, take_in_files
from edge.outbox.reading import Reader
from edge.outbox.reason import Reason
from edge.outbox.stamping import give_name, with_exif
from edge.outbox.store import Store
from edge.protocol.landing_names import image_name

logger = logging.getLogger(__name__)

EXIF_BYTES = 1024


@dataclass(frozen=True)
class Waiting:
    """An image that can be sent: its row, its file, and its name in the landing zone."""

    id: int
    path: Path
    name: str
    sha256: str


class Queue:
    """The images that wait.

    Args:
        store: where they are kept.
        most_bytes: of all of them.
        free_bytes: of the disk, which are left to others.
        device: for the images' names.
        view: for the images' names.
        free: bytes that are free where a folder is.
    """

    def __init__(
        self,
        store: Store,
        most_bytes: int,
        free_bytes: int,
        device: str,
        view: str,
        free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ):
        self._store, self._most, self._floor, self._free = store, most_bytes, free_bytes, free
        self._device, self._view, self._trouble = device, view, ""
        self._reader = Reader(store)
        self._landed: tuple[Waiting, str] | None = None
        take_in_files(store, device, view)

    def keep(self, frame: Frame, model: str, reason: Reason, moment: Moment) -> int | None:
        """Keep an image; returns its number, or ``None`` where there is no space for it.

        Args:
            frame: a JPEG file keeps its bytes; anything else is encoded, with EXIF.
            model: the camera's, for EXIF.
            reason: why.
            moment: when it was taken. An image whose time is not known waits for it.
        """
        own = is_jpeg(frame.encoded)
        content = frame.encoded if own else encode_pixels(frame.pixels)
        stamp = {"label": frame.label, "model": model, "own": own}
        if frame.exposure:
            stamp["exposure"] = [frame.exposure.seconds, frame.exposure.iso]
        try:
            if self._makes_space(len(content) + EXIF_BYTES, reason.rank):
                return self._write(content, stamp, reason, moment)
        except (OSError, sqlite3.OperationalError) as error:  # a full disk, above all
            self._say(f"an image cannot be kept: {error}")
        self._store.count(dropped=1)
        return None

    def next(self) -> Waiting | None:
        """The image to send: the oldest of the most important ones whose time is known.

        One that could not be read comes last.
        """
        if self._landed:  # and the disk was too full to note that
            self.sent(*self._landed)
        failing = self._reader.failing
        for which in (f"id NOT IN ({failing})", f"id IN ({failing})"):
            for row in self._store.rows(
                f"SELECT * FROM images WHERE name IS NOT NULL AND {which} "
                "ORDER BY rank DESC, id LIMIT 1"
            ):
                path = self._store.images / row["file"]
                return Waiting(row["id"], path, row["name"], row["sha256"])
        return None

    def read(self, image: Waiting, uptime: float) -> bytes | None:
        """Its bytes; None where it was dropped meanwhile, fails for now, or is given up."""
        return self._reader.read(image.id, image.path, uptime)

    def sent(self, image: Waiting, landed_as: str) -> None:
        """An image is in the landing zone: its results say where it is, and its file goes.

        In this order, as after a kill in between the file is taken in and sent as the same again;
        without it, the image would be missed.
        """
        self._landed = image, landed_as
        try:
            forget_landed(self._store, image.id, landed_as, image.sha256)
        except sqlite3.OperationalError:  # a full disk: the file makes room
            image.path.unlink(missing_ok=True)
            forget_landed(self._store, image.id, landed_as, image.sha256)
        self._landed = None
        with suppress(OSError):  # likewise
            image.path.unlink()
        self._store.count(sent=1)

    def date(self, now: Moment) -> int:
        """Date what was taken before the clock was set; returns how many images.

        What was taken in an earlier start of the machine cannot be dated any more: its name says
        1970, and its EXIF nothing.
        """
        undated = self._store.rows("SELECT * FROM images WHERE name IS NULL")
        for row in undated:
            shown = datetime.fromisoformat(row["shown"])
            moment = Moment(shown, row["uptime"], row["boot"], known=False).dated(now)
            if moment.known or row["boot"] != now.boot:
                self._date(row, moment, now.uptime)
        return len(undated)

    def size(self) -> dict[str, int]:
        """How many images wait, their bytes, how many wait for their time, and how many fail."""
        row = self._store.rows(
            "SELECT count(*) AS images, coalesce(sum(bytes), 0) AS bytes, "
            "count(*) - count(name) AS undated, "
            f"count(*) FILTER (WHERE id IN ({self._reader.failing})) AS unreadable FROM images"
        )[0]
        return dict(row)

    def _write(self, content: bytes, stamp: dict, reason: Reason, moment: Moment) -> int:
        name, sha256 = None, None
        if moment.known:
            content = with_exif(content, stamp, moment.shown)
            name = image_name(moment.shown, self._device, self._view, stamp["label"])
            sha256 = hashlib.sha256(content).hexdigest()
        file = new_file(reason, name)
        write_synced(self._store.images / file, content)
        try:
            with self._store.transaction() as database:
                return database.execute(
                    "INSERT INTO images (file, name, sha256, bytes, reason, rank, shown, uptime,"
                    " boot, stamp) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (file, name, sha256, len(content), reason, reason.rank)
                    + (moment.shown.isoformat(), moment.uptime, moment.boot, json.dumps(stamp)),
                ).lastrowid
        except BaseException:
            (self._store.images / file).unlink()
            raise

    def _date(self, row: sqlite3.Row, moment: Moment, uptime: float) -> None:
        label = json.loads(row["stamp"])["label"]
        name = image_name(moment.shown, self._device, self._view, label)
        try:
            content = self._reader.read(row["id"], self._store.images / row["file"], uptime)
            if content is not None:
                shown = moment.shown if moment.known else None
                give_name(self._store, row, content, name, shown)
        # on a full disk it waits on: others are sent meanwhile, which makes room
        except (OSError, sqlite3.OperationalError) as error:
            self._say(f"an image cannot be dated: {error}")

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            logger.warning("%s", trouble)
        self._trouble = trouble

    def _makes_space(self, size: int, rank: int) -> bool:
        """Drop images that are worth no more than this one until it fits, if that is enough."""
        total = self.size()["bytes"]
        missing = max(
            total + size - self._most, size + self._floor - self._free(self._store.folder)
        )
        if missing <= 0:
            return True
        victims, found = [], 0
        for row in self._store.rows(
            "SELECT id, bytes FROM images WHERE rank <= ? ORDER BY rank, id", (rank,)
        ):
            victims.append(row["id"])
            found += row["bytes"]
            if found >= missing:
                break
        else:
            return False
        self._store.count(dropped=forget(self._store, victims))
        return True
