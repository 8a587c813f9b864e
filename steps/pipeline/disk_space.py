"""Free space: required before much is written, and named when a disk is full."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from tempfile import gettempdir

import mlflow

from steps.errors import RUN, RunStep, UserError, causes

RESERVE = 50_000_000
"""Bytes that a step needs besides what it says: Delta's log, reports, temporary files."""

FULL = re.compile(r"No space left on device|Disk quota exceeded|database or disk is full")
SHOW = f"to see what takes the space, run: {RUN} -e upkeep -P dry_run=true"


def require_space(place: str, needed: int, purpose: str) -> None:
    """Check that a folder's disk has space for what is about to be written.

    Args:
        place: a folder that need not exist yet; a URI of another file system is not checked.
        needed: bytes.
        purpose: what they are, for the message.

    Raises:
        UserError: there is too little.
    """
    folder = _existing(place)
    if folder and (free := shutil.disk_usage(folder).free) < needed + RESERVE:
        raise UserError(
            f"{purpose} need {_megabytes(needed + RESERVE)} in {place}, and {_megabytes(free)} are "
            "free: free some space; upkeep shows what takes it",
            RunStep("upkeep", {"dry_run": "true"}),
        )


def describe_full_disk(error: BaseException, places: Iterable[str]) -> str | None:
    """Return which disk is full if that caused an error; None if something else did.

    Args:
        error: of Python, or of Java with its text.
        places: folders or URIs that a step writes to, besides MLflow's store and temporary files.
    """
    if not any(FULL.search(str(cause)) for cause in causes(error)):
        return None
    store = mlflow.get_tracking_uri().removeprefix("sqlite:///")
    folders = {folder for place in (*places, store, gettempdir()) if (folder := _existing(place))}
    full = min(folders, key=lambda folder: shutil.disk_usage(folder).free)
    return (
        f"the disk of {full} is full ({_megabytes(shutil.disk_usage(full).free)} are free, and a "
        f"step needs {_megabytes(RESERVE)} besides its images): free some space; {SHOW}"
    )


def _existing(place: str) -> Path | None:
    """Return the folder, or the closest one above it that exists; None if it is not a local one."""
    path = Path(place.removeprefix("file://"))
    if "://" in str(place).removeprefix("file://") or not path.is_absolute():
        return None
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
