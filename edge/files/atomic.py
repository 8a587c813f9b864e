"""Files that are there whole or not at all, after a power cut too."""

import errno
import os
from pathlib import Path

CANNOT_SYNC = {
    *(errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF),
    *(errno.EACCES, errno.EPERM),  # a folder that may be written to and not be read
}
"""What a file system says that does not sync folders."""


def write_synced(path: Path, content: bytes) -> None:
    """Write a file under a hidden name, sync it, and give it its own name in one step.

    That the name survives a power cut too takes :func:`sync_folder`.

    Raises:
        OSError: it cannot be written, as on a full disk; then nothing of it stays.
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


def sync_file(path: Path) -> None:
    """Make a file's bytes survive a power cut."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make what was renamed, made or removed in a folder survive a power cut.

    Where the file system has no such thing, as some in the network, nothing can be done.

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
