"""A file that is written complete or not at all."""

import os
import threading
from collections.abc import Callable
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
    _write(place, content, mode, Path.replace)


def create_atomically(place: str, content: bytes, mode: int = 0o666) -> bool:
    """Write a file as :func:`write_atomically` does unless there is one; return whether it did.

    A store that cannot tell overwrites it.
    """
    filesystem, path = fsspec.core.url_to_fs(place)
    try:
        if isinstance(filesystem, LocalFileSystem):
            _write(place, content, mode, _show_if_new)
        else:
            with filesystem.open(path, "xb") as file:
                file.write(content)
    except (ValueError, NotImplementedError):  # no exclusive creation here
        filesystem.pipe_file(path, content)
    except FileExistsError:
        return False
    return True


def _show_if_new(part: Path, target: Path) -> None:
    try:
        target.hardlink_to(part)
    except OSError:  # there is one; or a file system without links, on which two runs may collide
        if target.exists():
            raise FileExistsError(target) from None
        part.replace(target)


def _write(place: str, content: bytes, mode: int, show: Callable[[Path, Path], object]) -> None:
    """Write a file under a hidden name and sync it, then show it under its own."""
    filesystem, path = fsspec.core.url_to_fs(place)
    if not isinstance(filesystem, LocalFileSystem):
        filesystem.pipe_file(path, content)  # an object store shows a put once it is complete
        return
    target = Path(path)
    # hidden: neither Spark nor a landing zone reads it
    part = target.with_name(f".{target.name}.{threading.get_native_id()}.part")
    part.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        show(part, target)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(target.parent)


def make_folder(place: str) -> None:
    """Make a folder of a lake or a cache, and those above it, so that a power cut keeps them.

    Args:
        place: a path or a URI.
    """
    filesystem, path = fsspec.core.url_to_fs(place)
    if not isinstance(filesystem, LocalFileSystem):
        filesystem.makedirs(path, exist_ok=True)
    elif not os.path.isdir(path):
        make_folder(os.path.dirname(path))
        os.makedirs(path, exist_ok=True)
        sync_folder(Path(path).parent)


def sync_spark() -> None:
    """Make what Spark has written to disks of this machine survive a power cut: it syncs nothing.

    Call it before anything is deleted, or counts as done, because of what Spark has written.
    """
    os.sync()


def sync_folder(folder: Path) -> None:
    """Make what was renamed, made or removed in a local folder survive a power cut."""
    with suppress(OSError):  # not every mounted file system syncs folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
