"""Pictures that wait for the landing zone: bounded, the oldest unimportant ones dropped first."""

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
from edge.agent.queue_files import forget, forget_landed, new_file, take_in_files
from edge.agent.reading import Reader
from edge.agent.reason import Reason
from edge.agent.stamping import give_name, with_exif
from edge.agent.store import Store
from edge.cameras.camera import Frame
from edge.durable import write_synced
from edge.jpeg import encode_pixels, is_jpeg
from edge.landing_names import picture_name

logger = logging.getLogger(__name__)

EXIF_BYTES = 1024


@dataclass(frozen=True)
class Waiting:
    """A picture that can be sent: its row, its file, and its name in the landing zone."""

    id: int
    path: Path
    name: str
    sha256: str


class Queue:
    """The pictures that wait.

    Args:
        store: where they are kept.
        most_bytes: of all of them.
        free_bytes: of the disk, which are left to others.
        device: for the pictures' names.
        view: for the pictures' names.
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
        """Keep a picture; returns its number, or ``None`` where there is no space for it.

        Args:
            frame: a JPEG file keeps its bytes; anything else is encoded, with EXIF.
            model: the camera's, for EXIF.
            reason: why.
            moment: when it was taken. A picture whose time is not known waits for it.
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
            self._say(f"a picture cannot be kept: {error}")
        self._store.count(dropped=1)
        return None

    def next(self) -> Waiting | None:
        """The picture to send: the oldest of the most important ones whose time is known.

        One that could not be read comes last.
        """
        if self._landed:  # and the disk was too full to note that
            self.sent(*self._landed)
        failing = self._reader.failing
        for which in (f"id NOT IN ({failing})", f"id IN ({failing})"):
            for row in self._store.rows(
                f"SELECT * FROM pictures WHERE name IS NOT NULL AND {which} "
                "ORDER BY rank DESC, id LIMIT 1"
            ):
                path = self._store.pictures / row["file"]
                return Waiting(row["id"], path, row["name"], row["sha256"])
        return None

    def read(self, picture: Waiting, uptime: float) -> bytes | None:
        """Its bytes; None where it was dropped meanwhile, fails for now, or is given up."""
        return self._reader.read(picture.id, picture.path, uptime)

    def sent(self, picture: Waiting, landed_as: str) -> None:
        """A picture is in the landing zone: its results say where it is, and its file goes.

        In this order, as after a kill in between the file is taken in and sent as the same again;
        without it, the picture would be missed.
        """
        self._landed = picture, landed_as
        try:
            forget_landed(self._store, picture.id, landed_as, picture.sha256)
        except sqlite3.OperationalError:  # a full disk: the file makes room
            picture.path.unlink(missing_ok=True)
            forget_landed(self._store, picture.id, landed_as, picture.sha256)
        self._landed = None
        with suppress(OSError):  # likewise
            picture.path.unlink()
        self._store.count(sent=1)

    def date(self, now: Moment) -> int:
        """Date what was taken before the clock was set; returns how many pictures.

        What was taken in an earlier start of the machine cannot be dated any more: its name says
        1970, and its EXIF nothing.
        """
        undated = self._store.rows("SELECT * FROM pictures WHERE name IS NULL")
        for row in undated:
            shown = datetime.fromisoformat(row["shown"])
            moment = Moment(shown, row["uptime"], row["boot"], known=False).dated(now)
            if moment.known or row["boot"] != now.boot:
                self._date(row, moment, now.uptime)
        return len(undated)

    def size(self) -> dict[str, int]:
        """How many pictures wait, their bytes, how many wait for their time, and how many fail."""
        row = self._store.rows(
            "SELECT count(*) AS pictures, coalesce(sum(bytes), 0) AS bytes, "
            "count(*) - count(name) AS undated, "
            f"count(*) FILTER (WHERE id IN ({self._reader.failing})) AS unreadable FROM pictures"
        )[0]
        return dict(row)

    def _write(self, content: bytes, stamp: dict, reason: Reason, moment: Moment) -> int:
        name, sha256 = None, None
        if moment.known:
            content = with_exif(content, stamp, moment.shown)
            name = picture_name(moment.shown, self._device, self._view, stamp["label"])
            sha256 = hashlib.sha256(content).hexdigest()
        file = new_file(reason, name)
        write_synced(self._store.pictures / file, content)
        try:
            with self._store.transaction() as database:
                return database.execute(
                    "INSERT INTO pictures (file, name, sha256, bytes, reason, rank, shown, uptime,"
                    " boot, stamp) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (file, name, sha256, len(content), reason, reason.rank)
                    + (moment.shown.isoformat(), moment.uptime, moment.boot, json.dumps(stamp)),
                ).lastrowid
        except BaseException:
            (self._store.pictures / file).unlink()
            raise

    def _date(self, row: sqlite3.Row, moment: Moment, uptime: float) -> None:
        label = json.loads(row["stamp"])["label"]
        name = picture_name(moment.shown, self._device, self._view, label)
        try:
            content = self._reader.read(row["id"], self._store.pictures / row["file"], uptime)
            if content is not None:
                shown = moment.shown if moment.known else None
                give_name(self._store, row, content, name, shown)
        # on a full disk it waits on: others are sent meanwhile, which makes room
        except (OSError, sqlite3.OperationalError) as error:
            self._say(f"a picture cannot be dated: {error}")

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            logger.warning("%s", trouble)
        self._trouble = trouble

    def _makes_space(self, size: int, rank: int) -> bool:
        """Drop pictures that are worth no more than this one until it fits, if that is enough."""
        total = self.size()["bytes"]
        missing = max(
            total + size - self._most, size + self._floor - self._free(self._store.folder)
        )
        if missing <= 0:
            return True
        victims, found = [], 0
        for row in self._store.rows(
            "SELECT id, bytes FROM pictures WHERE rank <= ? ORDER BY rank, id", (rank,)
        ):
            victims.append(row["id"])
            found += row["bytes"]
            if found >= missing:
                break
        else:
            return False
        self._store.count(dropped=forget(self._store, victims))
        return True
