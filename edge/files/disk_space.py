"""Free space on the device's disk."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge.inference.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The errors of a full disk, an exhausted quota or a file at its largest size."""


CANNOT_WRITE = (*FULL, errno.EROFS, errno.EIO)
PROBE_BYTES = 1 << 20
"""More than a new database needs."""


class SpaceError(UserError):
    """The device has too little free space."""


def require_space(folder: Path, missing: int, reserve: int, what: str) -> None:
    """Raise :class:`SpaceError` unless a folder's disk has enough free space.

    Args:
        folder: on that disk.
        missing: bytes that are to be written.
        reserve: bytes that have to stay free.
        what: needs them, for the message.
    """
    free = shutil.disk_usage(folder).free
    if free < missing + reserve:
        raise SpaceError(
            f"{what} needs {missing} bytes and {reserve} have to stay free, but {folder.parent} "
            f"has {free}: delete something there"
        )


def disk_failure(folder: Path) -> str | None:
    """Return why the disk of a folder takes no files; None if it does, or if the user may not."""
    probe = folder / ".probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(bytes(PROBE_BYTES))
    except OSError as error:
        return f"{folder}: {error.strerror}" if error.errno in CANNOT_WRITE else None
    finally:
        with suppress(OSError):
            probe.unlink()
    return None


@contextmanager
def explain_full_disk(folder: Path) -> Iterator[None]:
    """Raise :class:`SpaceError` if what is done in a folder finds the device's disk full."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise SpaceError(f"{folder}: {error.strerror}: delete something there") from error


def free_megabytes(folder: Path) -> float:
    """Return the free space of the disk that a folder is on, or would be."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(existing).free / 1e6
