"""What a command writes: where it can is checked first, and where it cannot is told in one line."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.files.atomic import write_atomically
from edge.files.disk_space import FULL
from edge.inference.errors import RecordError, UserError

READ_ONLY = "make its file system writable, or name another folder"
HINTS = {
    errno.EROFS: READ_ONLY,
    errno.ENAMETOOLONG: "use a shorter name",
    **dict.fromkeys(FULL, "delete something there"),
}
"""What to do about an error of the system."""

FIXABLE = (UserError, RecordError, PermissionError, FileExistsError, FileNotFoundError)


def explain(error: BaseException) -> str | None:
    """Return one line about an error that the user can fix; None for any other."""
    if isinstance(error, PermissionError) and error.filename:
        return f"this user may not access {error.filename}: put sudo before the command"
    if isinstance(error, OSError) and (error.filename or error.errno in FULL):
        parts = error.filename or "the output", error.strerror, HINTS.get(error.errno or 0)
        return ": ".join(str(part) for part in parts if part)
    return str(error) if isinstance(error, FIXABLE) else None


def end_output() -> None:
    """Write what is printed and not yet written, or drop it if nobody takes it.

    Python does the same once more as it ends, and would fail there with a trace.
    """
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically; what is not a regular one, such as a pipe, as it is.

    Raises:
        OSError: with the file's name, which the system leaves out if the disk is full.
    """
    with _naming(path):
        if _is_special(path):
            path.write_bytes(content)
        else:
            write_atomically(path.resolve(), content)


def require_writable_file(path: Path) -> None:
    """Raise an error that :func:`explain` knows unless a file can be written here."""
    with _naming(path):
        if path.is_dir():
            raise UserError(f"{path} is a folder: name a file")
        if not path.parent.is_dir():
            raise UserError(f"no folder {path.parent}: create it, or name another file")
        if not _is_special(path):
            target = path.resolve()
            probe = target.with_name(f".{target.name}.part")
            probe.touch()
            probe.unlink()


def require_writable(folder: Path) -> None:
    """Raise :class:`UserError` unless this user may write into a folder, or create it."""
    existing = next(place for place in (folder, *folder.parents) if os.path.exists(place))
    if existing.is_dir() and not os.access(existing, os.W_OK | os.X_OK):
        if os.statvfs(existing).f_flag & os.ST_RDONLY:
            raise UserError(f"{existing} is read-only: {READ_ONLY}")
        raise UserError(f"this user may not write to {existing}: put sudo before the command")


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno:
            error.filename = str(path)
        raise
