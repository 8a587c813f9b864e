"""Room on the device's disk."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.inference.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where a disk, a quota or the length of a file is at its end."""


class SpaceError(UserError):
    """What is needed does not fit onto this device."""


def require_space(folder: Path, missing: int, reserve: int, what: str) -> None:
    """Raise :class:`SpaceError` unless a folder's disk has room.

    Args:
        folder: on that disk.
        missing: bytes that are to be written.
        reserve: bytes that have to stay free.
        what: needs them, for the message.
    """
    free = shutil.disk_usage(folder).free
    if free < missing + reserve:
        raise SpaceError(
            f"{what} needs {missing} bytes and {reserve} are to stay free, but {folder.parent} "
            f"has {free}: make room"
        )


@contextmanager
def full_disk_said(folder: Path) -> Iterator[None]:
    """Tell as :class:`SpaceError` where what is done in a folder finds its disk full."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise SpaceError(f"{folder}: {error.strerror}: make room") from error
