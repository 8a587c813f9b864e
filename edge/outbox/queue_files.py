"""The files of waiting images: their names suffice to recover an image without its row.

A name is ``<reason>.<number>.<name in the landing zone>``. It ends with ``undated.jpg`` until the
image's time is known.
"""

import logging
import os
import random
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from edge.files.atomic import make_folder, sync_folder, write_atomically
from edge.outbox.image_table import UndatedImage, image_file
from edge.outbox.moment import Moment
from edge.outbox.reason import Reason
from edge.outbox.store import Store
from edge.protocol.landing_names import image_name

logger = logging.getLogger(__name__)

UNDATED = "undated.jpg"

OWN_NAME = rf"({'|'.join(Reason)})\.[0-9a-f]{{8}}\..+\.jpg"
"""The names that :func:`new_file_name` makes."""

UNREADABLE = "unreadable"
"""The folder of files that the disk fails to read."""

MAX_UNREADABLE = 100
"""Files in that folder: all files of a worn-out SD card fail, and they take up its space."""


def new_file_name(reason: Reason, name: str | None) -> str:
    """Return a file name for a new image.

    Args:
        reason: why it is kept.
        name: in the landing zone; None until its time is known.
    """
    return f"{reason}.{os.urandom(4).hex()}.{name or UNDATED}"


def write_dated(
    store: Store, image: UndatedImage, content: bytes, name: str, captured_at: datetime | None
) -> None:
    """Write an undated image with its name and EXIF to a new file, then delete the old one.

    An image that is dropped meanwhile leaves no file.

    Args:
        store: where the image is.
        image: its row.
        content: of its file.
        name: in the landing zone.
        captured_at: for EXIF; None if the time will never be known.

    Raises:
        OSError, sqlite3.OperationalError: nothing can be written, as on a full disk.
    """
    content = image.stamp.apply(content, captured_at)
    dated = image_file(image.file.replace(UNDATED, name), name, content)
    write_atomically(store.image_folder / dated.file, content)
    # a row that a power cut brings back gets the dated file at the next start
    still_waits = store.images.replace_file(image.id, dated)
    obsolete = image.file if still_waits else dated.file
    (store.image_folder / obsolete).unlink(missing_ok=True)
    # else it may come back after the dated one was sent and deleted, and be sent as another image
    sync_folder(store.image_folder)


def recover_files(store: Store, device: str, view: str) -> None:
    """Give complete files without a row their row, and delete incomplete and obsolete files.

    Files that the agent did not make stay as they are. Images that could not be read
    and now can be are recovered too. A power cut can leave the database some seconds behind the
    folder: its row then names the file before it was dated, and gets the dated one.

    Args:
        store: where the images are.
        device: for the name of an image whose time is unknown.
        view: likewise.
    """
    _recover_unreadable(store)
    rows = store.images.ids_by_file()
    paths = _own_files(store.image_folder)
    complete = {_key(path.name) for path in paths if path.name in rows}
    orphan_rows = {_key(file): id for file, id in rows.items() if _key(file) not in complete}
    for path in paths:
        if path.name in rows:
            continue
        key = _key(path.name)
        reason, _, name = path.name.split(".", 2)
        if key in complete:
            path.unlink()
            continue
        complete.add(key)
        try:
            if key in orphan_rows:
                known = None if name == UNDATED else name
                file = image_file(path.name, known, path.read_bytes())
                store.images.replace_file(orphan_rows[key], file)
            else:
                name = _unknown_time_name(path, device, view) if name == UNDATED else name
                store.images.add(image_file(path.name, name, path.read_bytes()), Reason(reason))
        except OSError as error:
            logger.error("cannot read %s (%s): the next start tries again", path, error)
            with suppress(OSError):  # without free space, it stays where it is
                if move_unreadable(store, path):
                    store.count(lost=1)


def move_unreadable(store: Store, path: Path) -> bool:
    """Move a file that cannot be read out of the queue; return False if the folder is full.

    Raises:
        OSError: the file is gone, or nothing can be written.
    """
    folder = store.folder / UNREADABLE
    make_folder(folder)
    if len(os.listdir(folder)) >= MAX_UNREADABLE:
        return False
    os.replace(path, folder / path.name)
    return True


def _own_files(folder: Path) -> list[Path]:
    """Return the agent's images in a folder, and delete those that are half written."""
    own, foreign = list[Path](), list[str]()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        if re.fullmatch(OWN_NAME, path.name):
            own.append(path)
        elif re.fullmatch(rf"\.{OWN_NAME}\.part", path.name):
            path.unlink()
        else:
            foreign.append(path.name)
    if foreign:
        hint = "they stay, and are better kept elsewhere"
        logger.warning("%s has files of others, such as %r: %s", folder, foreign[0], hint)
    return own


def _recover_unreadable(store: Store) -> None:
    """Move files that can be read again back into the queue.

    An SD card may take half a minute to fail, and systemd does not wait much longer for a start.
    So the first file that fails ends the search, and the order is random.
    """
    folder = store.folder / UNREADABLE
    paths = [path for path in folder.glob("*") if re.fullmatch(OWN_NAME, path.name)]
    for path in random.sample(paths, len(paths)):
        try:
            path.read_bytes()
        except OSError:
            return
        os.replace(path, store.image_folder / path.name)
        if store.counts().get("lost"):
            store.count(lost=-1)


def _unknown_time_name(path: Path, device: str, view: str) -> str:
    # the row is lost, and with it the start of the machine in which the image was taken
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return image_name(Moment.without_date(written), device, view, None)


def _key(file: str) -> str:
    """Return what stays of a file's name when its image is dated: reason and number."""
    return ".".join(file.split(".", 2)[:2])
