"""Finding the files below a folder, without those that are hidden or cannot be read."""

import os
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from edge.protocol.erased import ERASED
from edge.protocol.landing_names import RESULTS, STATUS
from steps.landing.left_out import LeftOut, printable_path

OTHER_PROGRAMS = (
    *("@eadir", "#recycle", "@recycle", "$recycle.bin", "__macosx", "system volume information"),
)
"""Folders, in lower case, in which other programs keep thumbnails and deleted files."""

MOST_HIDDEN = 1000
"""Folders of a hidden one whose files are counted: it may hold copies of a whole file system."""

OF_DEVICES = re.compile(rf"/{RESULTS}/.*\.jsonl|/{STATUS}/.*\.json|/{re.escape(ERASED)}", re.DOTALL)
"""What devices send beside images, and what they read there."""

LAST = datetime(2200, 1, 1, tzinfo=UTC).timestamp()


def find_files(
    filesystem: fsspec.AbstractFileSystem, root: str, suffixes: tuple[str, ...], left_out: LeftOut
) -> Iterator[tuple[str, int, datetime]]:
    """Yield the files with one of the suffixes: path below ``root``, bytes, time of change.

    Args:
        filesystem: of the folder.
        root: the folder.
        suffixes: in lower case.
        left_out: gets what is left out.
    """
    is_local = isinstance(filesystem, LocalFileSystem)
    found = _find_local(root, left_out) if is_local else _find_remote(filesystem, root)
    for below, info in found:
        if hidden := hidden_in(below.split("/")[1:]):
            left_out.hidden[hidden] += 1
        elif not below.lower().endswith(suffixes):
            if not OF_DEVICES.fullmatch(below):
                left_out.add(below)
        elif not below.isascii() and below != below.encode(errors="replace").decode():
            left_out.add_unread(root + below, "its name is not UTF-8; rename it")
        else:
            try:
                status = _status(root + below) if is_local else (info["size"], listed_time(info))
                yield below, *status
            except OSError as error:
                is_link = is_local and os.path.islink(root + below)
                left_out.add_unread(
                    root + below, "a link to no file" if is_link else error.strerror
                )


def hidden_in(parts: list[str]) -> str | None:
    """Return what hides a path in a landing zone: a folder, or the file's own name.

    >>> hidden_in(["shoes", "@eaDir", "a.jpg", "SYNOPHOTO_THUMB_M.jpg"])
    'in @eaDir'
    """
    for number, part in enumerate(parts, start=1):
        if part.startswith(".") or part.lower() in OTHER_PROGRAMS:
            return "hidden" if number == len(parts) else f"in {printable_path(part)}"
    return None


def listed_time(info: dict[str, Any]) -> datetime:
    """Return when a file changed by fsspec's information on it; 1970 if this is missing."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        when = info.get(key)
        if isinstance(when, int | float):
            return _time(when)
        if isinstance(when, str):
            when = datetime.fromisoformat(when)
        if when is not None:
            return when.astimezone(UTC)
    return datetime.fromtimestamp(0, UTC)


def _find_remote(
    filesystem: fsspec.AbstractFileSystem, root: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, info in filesystem.find(root, detail=True).items():
        yield path[len(root) :], info


def _find_local(root: str, left_out: LeftOut) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield files; a folder to which links lead is listed once, by its own path if it has one."""
    # several times faster than fsspec's walk, and landing zones grow
    tops, listed = [root], set()
    for top in tops:
        for folder, names, files in os.walk(top, onerror=left_out.add_error):
            identity = os.path.realpath(folder)
            if identity in listed:
                left_out.add_unread(folder, "a link led to a folder that is listed already")
                names.clear()
                continue
            listed.add(identity)
            for name in sorted(names):
                if hidden := hidden_in([name, ""]):
                    names.remove(name)
                    inside = islice(os.walk(f"{folder}/{name}"), MOST_HIDDEN)
                    left_out.hidden[hidden] += sum(len(files) for *_, files in inside)
            tops += [
                f"{folder}/{name}" for name in sorted(names) if os.path.islink(f"{folder}/{name}")
            ]
            yield from ((f"{folder}/{name}"[len(root) :], {}) for name in files)


def _status(path: str) -> tuple[int, datetime]:
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "it is not a file")
    return status.st_size, _time(status.st_mtime_ns // 1000 / 1e6)


def _time(seconds: float) -> datetime:
    """Return a file's time; 1970 if it is one that tables and pandas cannot hold."""
    return datetime.fromtimestamp(seconds if 0 <= seconds < LAST else 0, UTC)
