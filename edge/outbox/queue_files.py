"""The files of the images that wait: their names say enough to take one in without its row.

A name is ``<reason>.<number>.<name in the landing zone>``, and the last of it ``undated.jpg`` while
the image's time is not known.
"""

import hashlib
import logging
import os
import random
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from edge.agent.clock import without_day
from edge.outbox.reason import Reason
from edge.outbox.store import Store
from edge.protocol.landing_names import image_name

logger = logging.getLogger(__name__)

UNDATED = "undated.jpg"

UNREADABLE = "unreadable"
"""The folder beside the images for what the disk does not give back."""

MOST_ASIDE = 100
"""Files in it: a card that is worn out will give back none of them, and they take its space."""


def new_file(reason: Reason, name: str | None) -> str:
    """A name for the file of a new image.

    Args:
        reason: why it is kept.
        name: in the landing zone; None while its time is not known.
    """
    return f"{reason}.{os.urandom(4).hex()}.{name or UNDATED}"


def dated(file: str, name: str) -> str:
    """A file's name once its image has one in the landing zone."""
    return file.replace(UNDATED, name)


def take_in_files(store: Store, device: str, view: str) -> None:
    """At the start: complete files without a row get one, half ones and leftovers go.

    What was set aside and can be read again is such a file too.

    A power cut can leave the database some seconds behind the folder: then a row names the file
    that its image had before it was dated, and gets the one that is there.

    Args:
        store: whose images these are.
        device: for the name of an image whose time was not known.
        view: likewise.
    """
    _take_back(store)
    rows = {row["file"]: row["id"] for row in store.rows("SELECT id, file FROM images")}
    paths = [path for path in sorted(store.images.iterdir()) if not path.is_dir()]
    whole = {_key(path.name) for path in paths if path.name in rows}
    orphan_rows = {_key(file): number for file, number in rows.items() if _key(file) not in whole}
    for path in paths:
        if path.name in rows:
            continue
        reason, _, name = path.name.split(".", 2) if path.name.count(".") > 2 else ("", "", "")
        key = _key(path.name)
        if reason not in list(Reason) or key in whole:
            path.unlink()
            continue
        whole.add(key)
        try:
            if key in orphan_rows:
                _point(store, orphan_rows[key], path, None if name == UNDATED else name)
            else:
                _take_in(store, path, Reason(reason), _name_of(path, name, device, view))
        except OSError as error:
            logger.error("%s cannot be read (%s) and waits for another start", path, error)
            with suppress(OSError):  # where there is no space, it waits where it is
                if set_aside(store, path):
                    store.count(lost=1)


def forget(store: Store, numbers: list[int]) -> int:
    """Wait for some images no more: their files go once no row names them.

    Returns:
        How many of them still waited.
    """
    marks = ", ".join("?" * len(numbers))
    with store.transaction() as database:
        # read within: an image that is dated meanwhile gets another file
        query = f"SELECT file FROM images WHERE id IN ({marks})"
        files = [row["file"] for row in database.execute(query, numbers)]
        database.execute(f"UPDATE results SET image = NULL WHERE image IN ({marks})", numbers)
        database.execute(f"DELETE FROM images WHERE id IN ({marks})", numbers)
    for file in files:
        with suppress(OSError):  # what stays is taken in at the next start
            (store.images / file).unlink()
    return len(files)


def forget_landed(store: Store, number: int, landed_as: str, sha256: str) -> None:
    """Wait for an image no more that is in the landing zone: its results say where."""
    with store.transaction(durable=True) as database:
        database.execute(
            "UPDATE results SET file_name = ?, sha256 = ?, image = NULL WHERE image = ?",
            (landed_as, sha256, number),
        )
        database.execute("DELETE FROM images WHERE id = ?", (number,))


def set_aside(store: Store, path: Path) -> bool:
    """Move a file that cannot be read out of the way; returns whether there was space for it.

    Raises:
        OSError: the file is gone, or nothing can be written.
    """
    aside = store.folder / UNREADABLE
    aside.mkdir(exist_ok=True)
    if len(os.listdir(aside)) >= MOST_ASIDE:
        return False
    os.replace(path, aside / path.name)
    return True


def _take_back(store: Store) -> None:
    """What was set aside and can be read again waits again, as a file without a row.

    A card may take half a minute to fail, and systemd waits for no start much longer: so the first
    file that fails is the last that is tried. Which comes first is drawn, and another time another.
    """
    paths = list((store.folder / UNREADABLE).glob("*"))
    for path in random.sample(paths, len(paths)):
        try:
            path.read_bytes()
        except OSError:
            return
        os.replace(path, store.images / path.name)
        if store.counts().get("lost"):
            store.count(lost=-1)


def _name_of(path: Path, name: str, device: str, view: str) -> str:
    if name != UNDATED:
        return name
    # nobody knows any more in which start of the machine it was taken
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return image_name(without_day(written), device, view, None)


def _take_in(store: Store, path: Path, reason: Reason, name: str) -> None:
    content = path.read_bytes()
    with store.transaction() as database:
        database.execute(
            "INSERT INTO images (file, name, sha256, bytes, reason, rank, shown, uptime,"
            " boot) VALUES (?, ?, ?, ?, ?, ?, '', 0, '')",
            (path.name, name, hashlib.sha256(content).hexdigest(), len(content))
            + (reason, reason.rank),
        )


def _point(store: Store, number: int, path: Path, name: str | None) -> None:
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest() if name else None
    with store.transaction() as database:
        database.execute(
            "UPDATE images SET file = ?, name = ?, sha256 = ?, bytes = ? WHERE id = ?",
            (path.name, name, sha256, len(content), number),
        )


def _key(file: str) -> str:
    """What stays of a file's name when its image is dated: why it is kept, and a number."""
    return ".".join(file.split(".", 2)[:2])
