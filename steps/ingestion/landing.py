"""The landing zone: the folder or URI where images arrive."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlparse

from edge.inference.image import SUFFIXES
from steps.errors import UserError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


class LandedFile(NamedTuple):
    """An image by its suffix: path as in the tables, bytes, time of change (UTC)."""

    path: str
    bytes: int
    modified_at: datetime


@dataclass(frozen=True)
class Landing:
    """What is in a landing zone now.

    Attributes:
        source: the folder or URI, normalised: paths in the tables start with it.
        files: its images, by path.
    """

    source: str
    files: list[LandedFile]


def fingerprint(files: Iterable[tuple]) -> str:
    """Changes with any file's path, size or time of change; their order does not count."""
    return hashlib.sha256(repr(sorted(map(tuple, files))).encode()).hexdigest()


def list_landing_zone(source: str, may_be_empty: bool = False) -> Landing:
    """List a landing zone; subfolders count, hidden files do not.

    Args:
        source: a folder, or a URI of a file system that fsspec reads.
        may_be_empty: no image is no error.

    Raises:
        UserError: it does not exist, it is empty, or no file in it is an image.
    """
    if not source:
        raise UserError("no source given; pass -P source=<folder or URI with images>")
    place = normalised(source)
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
            f"no image among the {visible} files in {source} ({' '.join(SUFFIXES)}); "
            "pass another -P source="
        )
    return Landing(place, sorted(files))


def files_below(source: str, folder: str, suffix: str) -> Iterator[LandedFile]:
    """The visible files of one kind in a folder of a landing zone; none without such a folder.

    Args:
        source: the landing zone, as paths in the tables start.
        folder: directly below it.
        suffix: of the files' names.
    """
    import fsspec

    filesystem, root = fsspec.core.url_to_fs(for_fsspec(source))
    if filesystem.isdir(f"{root}/{folder}"):
        for file in _found(filesystem, f"{root}/{folder}", f"{source}/{folder}"):
            if file.path.endswith(suffix):
                yield file


def normalised(place: str) -> str:
    """A folder or URI as the tables write it: ``file:/…`` for what is on this machine."""
    if "://" not in place and not place.startswith("file:"):
        place = Path(place).expanduser().resolve().as_uri()
    if place.startswith("file:"):
        return "file:" + unquote(urlparse(place).path).rstrip("/")
    return place.rstrip("/")


def read(path: str) -> bytes:
    """The bytes of a file by its path in the tables."""
    if path.startswith("file:"):
        return Path(path.removeprefix("file:")).read_bytes()
    import fsspec

    filesystem, place = fsspec.core.url_to_fs(for_fsspec(path))
    return filesystem.cat_file(place)


def _visible_files(place: str, source: str) -> Iterator[LandedFile]:
    if place.startswith("file:"):
        folder = place.removeprefix("file:")
        if not os.path.isdir(folder):
            raise UserError(f"{source} is not a folder; pass -P source=<folder or URI with images>")
        return _on_this_machine(folder)
    return _elsewhere(place, source)


def _on_this_machine(folder: str) -> Iterator[LandedFile]:
    # fsspec's own walk takes several times as long, and landing zones grow
    for entry in os.scandir(folder or "/"):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _on_this_machine(entry.path)
        elif entry.is_file():
            status = entry.stat()
            changed = datetime.fromtimestamp(status.st_mtime_ns // 1000 / 1e6, UTC)
            yield LandedFile(f"file:{entry.path}", status.st_size, changed)


def _elsewhere(place: str, source: str) -> Iterator[LandedFile]:
    import fsspec

    try:
        filesystem, root = fsspec.core.url_to_fs(for_fsspec(place))
    except (ValueError, ImportError) as error:
        raise UserError(f"cannot read {source}: {error}; pass a folder or a URI") from error
    if not filesystem.isdir(root):
        raise UserError(f"{source} is not a folder; pass -P source=<folder or URI with images>")
    yield from _found(filesystem, root, place)


def _found(filesystem: "AbstractFileSystem", root: str, place: str) -> Iterator[LandedFile]:
    """The visible files below a folder: ``root`` to its file system, ``place`` to the tables."""
    for path, info in filesystem.find(root, detail=True).items():
        below = path[len(root) :]
        if "/." not in below:
            yield LandedFile(place + below, info["size"], changed_at(info))


def changed_at(info: dict) -> datetime:
    """When a file changed, as its file system tells fsspec; 1970 where it does not tell."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        when = info.get(key)
        if isinstance(when, int | float):
            return datetime.fromtimestamp(when, UTC)
        if isinstance(when, str):
            when = datetime.fromisoformat(when)
        if when is not None:
            return when.astimezone(UTC)
    return datetime.fromtimestamp(0, UTC)


def for_fsspec(place: str) -> str:
    """A path of the tables as fsspec knows it: Hadoop has names of its own for the same store."""
    return place.replace("s3a://", "s3://", 1).replace("abfss://", "abfs://", 1)
