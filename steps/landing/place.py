"""Places as the tables write them, and what is read there: a file, a folder, or a URI."""

from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlparse

import fsspec


def normalize(place: str) -> str:
    """Return a folder or URI as the tables write it: ``file:/…`` for a local one."""
    if "://" not in place and not place.startswith("file:"):
        place = Path(place).expanduser().resolve().as_uri()
    if place.startswith("file:"):
        return "file:" + unquote(urlparse(place).path).rstrip("/")
    return place.rstrip("/")


def display(place: str) -> str:
    """Return a place of the tables as a user types it: a local one without ``file:``."""
    return place.removeprefix("file:")


def open_place(place: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of a path of the tables, and the path there.

    Only the address goes through fsspec's own reading of a URI, to which ``::`` in a name means a
    file system within another.
    """
    if place.startswith("file:"):
        return fsspec.filesystem("file"), place.removeprefix("file:")
    scheme, _, rest = place.partition("://")
    host, slash, path = rest.partition("/")
    filesystem, root = fsspec.core.url_to_fs(f"{scheme}://{host}")
    return filesystem, f"{root.rstrip('/')}{slash}{path}"


def read(path: str) -> bytes:
    """Return the bytes of a file by its path in the tables."""
    if path.startswith("file:"):
        return Path(path.removeprefix("file:")).read_bytes()
    filesystem, place = open_place(path)
    return cast(bytes, filesystem.cat_file(place))


def place_exists(place: str) -> bool:
    """Return whether a file or folder exists at a path or URI."""
    filesystem, path = fsspec.core.url_to_fs(place)
    return bool(filesystem.exists(path))


def file_details(place: str) -> str:
    """Return the details of a file, or of all files in a folder, as text; empty if missing."""
    filesystem, path = fsspec.core.url_to_fs(place)
    if not filesystem.exists(path):
        return ""
    return str(sorted(map(str, filesystem.find(path, detail=True).values())))
