"""The files of the pictures that wait: their names say enough to take one in without its row.

A name is ``<reason>.<number>.<name in the landing zone>``, and the last of it ``undated.jpg`` while
the picture's time is not known.
"""

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

from edge.agent.clock import without_day
from edge.agent.reason import Reason
from edge.agent.store import Store
from edge.landing_names import picture_name

UNDATED = "undated.jpg"


def new_file(reason: Reason, name: str | None) -> str:
    """A name for the file of a new picture.

    Args:
        reason: why it is kept.
        name: in the landing zone; None while its time is not known.
    """
    return f"{reason}.{os.urandom(4).hex()}.{name or UNDATED}"


def dated(file: str, name: str) -> str:
    """A file's name once its picture has one in the landing zone."""
    return file.replace(UNDATED, name)


def take_in_files(store: Store, device: str, view: str) -> None:
    """At the start: complete files without a row get one, half ones and leftovers go.

    Args:
        store: whose pictures these are.
        device: for the name of a picture whose time was not known.
        view: likewise.
    """
    known = {row["file"] for row in store.rows("SELECT file FROM pictures")}
    keys = {_key(file) for file in known}
    for path in sorted(store.pictures.iterdir()):
        if path.name in known:
            continue
        reason, _, name = path.name.split(".", 2) if path.name.count(".") > 2 else ("", "", "")
        if reason not in list(Reason) or _key(path.name) in keys:
            path.unlink()
            continue
        if name == UNDATED:  # nobody knows any more in which start of the machine it was taken
            written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            name = picture_name(without_day(written), device, view, None)
        _take_in(store, path, Reason(reason), name)


def _take_in(store: Store, path: Path, reason: Reason, name: str) -> None:
    content = path.read_bytes()
    with store.transaction() as database:
        database.execute(
            "INSERT INTO pictures (file, name, sha256, bytes, reason, rank, shown, uptime,"
            " boot) VALUES (?, ?, ?, ?, ?, ?, '', 0, '')",
            (path.name, name, hashlib.sha256(content).hexdigest(), len(content))
            + (reason, reason.rank),
        )


def _key(file: str) -> str:
    """What stays of a file's name when its picture is dated: why it is kept, and a number."""
    return ".".join(file.split(".", 2)[:2])
