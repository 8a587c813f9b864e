"""The landing zone: the folder or URI where pictures arrive."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from steps.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class Landing:
    """What is in a landing zone now.

    Attributes:
        source: the folder or URI, normalised: paths in the tables start with it.
        pictures: number of files that are pictures by their suffix.
        fingerprint: changes with any file's path, size or time of change.
    """

    source: str
    pictures: int
    fingerprint: str


def look(source: str) -> Landing:
    """List a landing zone; subfolders count, hidden files do not.

    Args:
        source: a folder, or a URI of a file system that fsspec and Spark both read.

    Raises:
        UserError: it does not exist, it is empty, or no file in it is a picture.
    """
    import fsspec

    if not source:
        raise UserError("no source given; pass -P source=<folder or URI with pictures>")
    uri = source if "://" in source else Path(source).expanduser().resolve().as_uri()
    try:
        filesystem, root = fsspec.core.url_to_fs(uri.replace("s3a://", "s3://", 1))
    except (ValueError, ImportError) as error:
        raise UserError(f"cannot read {source}: {error}; pass a folder or a URI") from error
    if not filesystem.isdir(root):
        raise UserError(f"{source} is not a folder; pass -P source=<folder or URI with pictures>")
    files = filesystem.find(root, detail=True)
    visible = {path: info for path, info in files.items() if "/." not in path[len(root) :]}
    if not visible:
        raise UserError(f"{source} is empty; put pictures there, or pass another -P source=")
    pictures = {p: info for p, info in visible.items() if p.lower().endswith(SUFFIXES)}
    if not pictures:
        raise UserError(
            f"no picture among the {len(visible)} files in {source} ({' '.join(SUFFIXES)}); "
            "pass another -P source="
        )
    stamps = sorted(
        (path, info["size"], str(info.get("mtime", info.get("ETag", info.get("LastModified")))))
        for path, info in pictures.items()
    )
    return Landing(
        _spark_path(uri), len(pictures), hashlib.sha256(repr(stamps).encode()).hexdigest()
    )


def _spark_path(uri: str) -> str:
    """The URI as Spark's binaryFile source writes it before a file's name."""
    if not uri.startswith("file://"):
        return uri.rstrip("/")
    from urllib.parse import unquote, urlparse

    return "file:" + unquote(urlparse(uri).path).rstrip("/")
