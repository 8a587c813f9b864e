"""Files that are there complete or not at all, even after a power cut."""

import errno
import os
from pathlib import Path

CANNOT_SYNC = {
    *(errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF),
    *(errno.EACCES, errno.EPERM),  # a folder that may be written to and not be read
}
"""The errors of a file system that does not sync folders."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a hidden name, sync it, rename it in one step, and sync its folder.

    Raises:
        OSError: it cannot be written, as on a full disk; then nothing of it stays. Or the disk
            fails after the renaming.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, so that each survives a power cut; it may exist already.

    Raises:
        OSError: it cannot be made.
    """
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Make the bytes of a file on a device survive a power cut."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make what was renamed, made or removed in a folder survive a power cut.

    Some network file systems cannot sync a folder: nothing is done then.

    Raises:
        OSError: the disk fails.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise
