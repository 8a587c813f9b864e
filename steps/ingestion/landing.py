"""The landing zone: the folder or URI where images arrive."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import unquote, urlparse

import fsspec

from edge.inference.image import SUFFIXES
from steps.errors import UserError


class LandedFile(NamedTuple):
    """A file: its path as in the tables, its bytes, and the time of its last change (UTC)."""

    path: str
    bytes: int
    modified_at: datetime


@dataclass(frozen=True)
class Landing:
    """The content of a landing zone.

    Attributes:
        source: the folder or URI, normalized: paths in the tables start with it.
        files: its images, sorted by path.
    """

    source: str
    files: list[LandedFile]


def fingerprint(files: Iterable[LandedFile]) -> str:
    """Return a hash that changes with any file's path, size or time of change, in any order."""
    return hashlib.sha256(repr(sorted(map(tuple, files))).encode()).hexdigest()


def list_landing_zone(source: str, may_be_empty: bool = False) -> Landing:
    """List the images of a landing zone and its subfolders, without hidden files.

    Args:
        source: a folder, or a URI of a file system that fsspec reads.
        may_be_empty: whether a landing zone without images is accepted.

    Raises:
        UserError: it does not exist, it is empty, or it has no image.
    """
    if not source:
        raise UserError("the source is missing; pass -P source=<folder or URI with images>")
    place = normalize(source)
    visible, files = 0, []
    for file in _visible_files(place, source):
        visible += 1
        if file.path.lower().endswith(SUFFIXES):
            files.append(file)
    if may_be_empty:
        return Landing(place, sorted(files))
    if not visible:
        raise UserError(f"{source} is empty; put images there, or pass another -P source=")
    if not files:
        raise UserError(
            f"none of the {visible} files in {source} is an image ({' '.join(SUFFIXES)}); "
            "pass another -P source="
        )
    return Landing(place, sorted(files))


def list_files(source: str, folder: str, suffix: str) -> Iterator[LandedFile]:
    """Yield the visible files with a suffix in a folder of a landing zone, if it exists.

    Args:
        source: the landing zone, with which paths in the tables start.
        folder: directly below it.
        suffix: of the files' names.
    """
    filesystem, root = fsspec.core.url_to_fs(source)
    if filesystem.isdir(f"{root}/{folder}"):
        for file in _find_visible(filesystem, f"{root}/{folder}", f"{source}/{folder}"):
            if file.path.endswith(suffix):
                yield file


def normalize(place: str) -> str:
    """Return a folder or URI as the tables write it: ``file:/…`` for a local one."""
    if "://" not in place and not place.startswith("file:"):
        place = Path(place).expanduser().resolve().as_uri()
    if place.startswith("file:"):
        return "file:" + unquote(urlparse(place).path).rstrip("/")
    return place.rstrip("/")


def read(path: str) -> bytes:
    """Return the bytes of a file by its path in the tables."""
    if path.startswith("file:"):
        return Path(path.removeprefix("file:")).read_bytes()
    filesystem, place = fsspec.core.url_to_fs(path)
    return cast(bytes, filesystem.cat_file(place))


def exists(place: str) -> bool:
    """Return whether a file or folder exists at a path or URI."""
    filesystem, path = fsspec.core.url_to_fs(place)
    return bool(filesystem.exists(path))


def describe_files(place: str) -> str:
    """Return the details of a file, or of all files in a folder, as text; empty if missing."""
    filesystem, path = fsspec.core.url_to_fs(place)
    if not filesystem.exists(path):
        return ""
    return str(sorted(map(str, filesystem.find(path, detail=True).values())))


def _visible_files(place: str, source: str) -> Iterator[LandedFile]:
    if place.startswith("file:"):
        folder = place.removeprefix("file:")
        if not os.path.isdir(folder):
            raise UserError(f"{source} is not a folder; pass -P source=<folder or URI with images>")
        return _local_files(folder)
    return _remote_files(place, source)


def _local_files(folder: str) -> Iterator[LandedFile]:
    # several times faster than fsspec's walk, and landing zones grow
    for entry in os.scandir(folder or "/"):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _local_files(entry.path)
        elif entry.is_file():
            status = entry.stat()
            changed = datetime.fromtimestamp(status.st_mtime_ns // 1000 / 1e6, UTC)
            yield LandedFile(f"file:{entry.path}", status.st_size, changed)


def _remote_files(place: str, source: str) -> Iterator[LandedFile]:
    try:
        filesystem, root = fsspec.core.url_to_fs(place)
    except (ValueError, ImportError) as error:
        raise UserError(f"cannot read {source}: {error}; pass a folder or a URI") from error
    if not filesystem.isdir(root):
        raise UserError(f"{source} is not a folder; pass -P source=<folder or URI with images>")
    yield from _find_visible(filesystem, root, place)


def _find_visible(
    filesystem: fsspec.AbstractFileSystem, root: str, place: str
) -> Iterator[LandedFile]:
    """Yield the visible files below ``root``, which the tables call ``place``."""
    for path, info in filesystem.find(root, detail=True).items():
        below = path[len(root) :]
        if "/." not in below:
            yield LandedFile(place + below, info["size"], modified_at(info))


def modified_at(info: dict[str, Any]) -> datetime:
    """Return when a file changed by fsspec's information on it; 1970 if this is missing."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        when = info.get(key)
        if isinstance(when, int | float):
            return datetime.fromtimestamp(when, UTC)
        if isinstance(when, str):
            when = datetime.fromisoformat(when)
        if when is not None:
            return when.astimezone(UTC)
    return datetime.fromtimestamp(0, UTC)
