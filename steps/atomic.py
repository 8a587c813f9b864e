"""A file that is written complete or not at all."""

import os
from contextlib import suppress
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem


def write_atomically(place: str, content: bytes, mode: int = 0o666) -> None:
    """Write a file so that readers find it complete or as it was, also after a power cut.

    Args:
        place: a path or a URI; its folder exists.
        content: the new bytes.
        mode: of a local file, before the umask.
    """
    filesystem, path = fsspec.core.url_to_fs(place)
    if not isinstance(filesystem, LocalFileSystem):
        filesystem.pipe_file(path, content)  # an object store shows a put once it is complete
        return
    target = Path(path)
    # hidden: neither Spark nor a landing zone reads it
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    with suppress(OSError):  # not every mounted file system syncs folders
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
