"""Files that are there whole or not at all, after a power cut too."""

import os
from pathlib import Path


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
    """Make what was renamed, made or removed in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
