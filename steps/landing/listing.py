"""The listing of a landing zone: of the folder or URI where images arrive."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from edge.inference.image import SUFFIXES
from steps.errors import UserError
from steps.landing.left_out import LeftOut
from steps.landing.place import normalize, open_place
from steps.landing.walk import find_files, listed_time


class LandedFile(NamedTuple):
    """A file: its path as in the tables, its bytes, and the time of its last change (UTC)."""

    path: str
    bytes: int
    modified_at: datetime

    def is_unchanged(self, info: dict[str, Any]) -> bool:
        """Return whether fsspec's information on a file has the size and the time of this one."""
        seconds_apart = abs((listed_time(info) - self.modified_at).total_seconds())
        return bool(info["size"] == self.bytes and seconds_apart < 0.001)


@dataclass(frozen=True)
class Landing:
    """The content of a landing zone.

    Attributes:
        source: the folder or URI, normalized: paths in the tables start with it.
        files: its images, sorted by path.
        left_out: what stands beside them.
    """

    source: str
    files: list[LandedFile]
    left_out: LeftOut = field(default_factory=LeftOut, compare=False)


def fingerprint(files: Iterable[LandedFile]) -> str:
    """Return a hash that changes with any file's path, size or time of change, in any order."""
    digest, before = hashlib.sha256(b"["), ""
    for file in sorted(files):  # as repr of the list, which would be long
        digest.update(f"{before}{tuple(file)}".encode())
        before = ", "
    digest.update(b"]")
    return digest.hexdigest()


def list_landing_zone(source: str, may_be_empty: bool = False) -> Landing:
    """List the images of a landing zone and its subfolders, without hidden files.

    What cannot be listed is left out and named. A folder that links lead to is listed once.

    Args:
        source: a folder, or a URI of a file system that fsspec reads.
        may_be_empty: whether a landing zone without images is accepted.

    Raises:
        UserError: it does not exist, it is empty, or it has no image.
    """
    if not source:
        raise UserError("the source is missing; pass -P source=<folder or URI with images>")
    place, left_out = normalize(source), LeftOut()
    files = sorted(_walk(place, source, SUFFIXES, left_out))
    if not files and not may_be_empty:
        raise UserError(_empty_message(source, left_out))
    return Landing(place, files, left_out)


def _empty_message(source: str, left_out: LeftOut) -> str:
    found = "; ".join(left_out.sentences())
    if visible := left_out.suffixes.total():
        suffixes = " ".join(SUFFIXES)
        return (
            f"none of the {visible} files in {source} is an image ({suffixes}); {found}; "
            "pass another -P source="
        )
    if left_out.unread:
        return f"no image in {source} can be read; {found}; or pass another -P source="
    return f"{source} is empty; put images there, or pass another -P source="


def list_files(source: str, folder: str, suffix: str) -> Iterator[LandedFile]:
    """Yield the visible files with a suffix in a folder of a landing zone, if it exists.

    Args:
        source: the landing zone, with which paths in the tables start.
        folder: directly below it.
        suffix: of the files' names.
    """
    filesystem, root = open_place(source)
    if filesystem.isdir(f"{root}/{folder}"):
        yield from _walk(f"{source}/{folder}", source, (suffix,), LeftOut())


def _walk(
    place: str, source: str, suffixes: tuple[str, ...], left_out: LeftOut
) -> Iterator[LandedFile]:
    """Yield the files with one of the suffixes below ``place``, which a user calls ``source``."""
    try:
        filesystem, root = open_place(place)
    except (ValueError, ImportError) as error:
        raise UserError(f"cannot read {source}: {error}; pass a folder or a URI") from error
    if not filesystem.isdir(root):
        raise UserError(f"{source} is not a folder; pass -P source=<folder or URI with images>")
    for below, size, changed in find_files(filesystem, root, suffixes, left_out):
        yield LandedFile(place + below, size, changed)
