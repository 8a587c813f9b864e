"""A kept image's EXIF and name: at once, or as soon as its time is known."""

import hashlib
import json
import sqlite3
from datetime import datetime

from edge.cameras.camera import Exposure
from edge.cameras.jpeg import stamped
from edge.files.atomic import sync_folder, write_synced
from edge.outbox.queue_files import dated
from edge.outbox.store import Store


def with_exif(content: bytes, stamp: dict, shown: datetime | None) -> bytes:
    """A JPEG file's bytes with EXIF; one that came from its camera as a file stays as it is.

    Args:
        content: the JPEG.
        stamp: the camera's model, ``own`` for a camera's own file, and the exposure if known.
        shown: when it was taken; None where nobody knows.
    """
    if stamp["own"]:
        return content
    exposure = Exposure(*stamp["exposure"]) if "exposure" in stamp else None
    return stamped(content, stamp["model"], shown, exposure)


def give_name(
    store: Store, row: sqlite3.Row, content: bytes, name: str, shown: datetime | None
) -> None:
    """Give an undated image its name and EXIF, in a new file: the old one goes last.

    One that is dropped meanwhile is left at that.

    Args:
        store: where it is.
        row: of the image.
        content: of its file.
        name: in the landing zone.
        shown: when it was taken; None where nobody knows.

    Raises:
        OSError, sqlite3.OperationalError: nothing can be written, as on a full disk.
    """
    old, file = store.images / row["file"], dated(row["file"], name)
    content = with_exif(content, json.loads(row["stamp"]), shown)
    write_synced(store.images / file, content)
    sync_folder(store.images)
    with store.transaction(durable=True) as database:
        waits = database.execute(
            "UPDATE images SET file = ?, name = ?, sha256 = ?, bytes = ? WHERE id = ?",
            (file, name, hashlib.sha256(content).hexdigest(), len(content), row["id"]),
        ).rowcount
    (old if waits else store.images / file).unlink(missing_ok=True)
