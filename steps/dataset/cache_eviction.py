"""The room that Petastorm caches take: unfinished attempts and the longest unused ones go."""

import json
import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import fsspec

from steps.ingestion.landing import modified_at

logger = logging.getLogger(__name__)

USED = "used"
"""A file in a cache's folder that says when the cache was last opened."""
LEFT_ALONE = timedelta(hours=6)
"""An attempt or a cache that was touched more recently may be in some step's hands."""
CHECKPOINTS = "checkpoints"
"""The folder of what trainings that were cut off can go on from, a folder a run."""
CHECKPOINTS_KEPT = timedelta(days=30)


@dataclass(frozen=True)
class _Folder:
    """A cache's folder: bytes, and when it was last opened or written to."""

    path: str
    size: int
    touched: datetime


def mark_used(folder: str) -> None:
    """Note that a cache is opened now."""
    filesystem, path = fsspec.core.url_to_fs(f"{folder}/{USED}")
    filesystem.pipe_file(path, datetime.now(UTC).isoformat().encode())


def tidy(caches: str, limit: int, spare: str, now: datetime | None = None) -> list[str]:
    """Remove what an interrupted write left, then the longest unused caches above a size.

    Checkpoints that nobody went on from in a month go too.

    Args:
        caches: folder or URI that the caches are in.
        limit: bytes that all of them may take.
        spare: name of the cache that was just filled.
        now: the time; for tests.

    Returns:
        The names of what was removed.
    """
    now = now or datetime.now(UTC)
    filesystem, root = fsspec.core.url_to_fs(caches)
    # only folders that are named as caches are: whatever else is there is someone's own
    names = [
        place for place in filesystem.ls(root, detail=False) if re.search("/[0-9a-f]{16}$", place)
    ]
    removed = [
        attempt
        for place in names
        for attempt in _abandoned(filesystem, place)
        if now - _touched(filesystem, attempt) > LEFT_ALONE
    ] + [
        run
        for run in _folders(filesystem, f"{root}/{CHECKPOINTS}")
        if now - _touched(filesystem, run) > CHECKPOINTS_KEPT
    ]
    for attempt in removed:
        filesystem.rm(attempt, recursive=True)
    folders = [_Folder(p, filesystem.du(p), _touched(filesystem, p)) for p in names]
    total = sum(folder.size for folder in folders)
    for folder in sorted(folders, key=lambda folder: folder.touched):
        in_hand = now - folder.touched <= LEFT_ALONE or folder.path.endswith(spare)
        if total > limit and not in_hand:
            # the manifest first: half a cache must not be taken for a whole one
            for name in ("manifest.json", ""):
                if filesystem.exists(f"{folder.path}/{name}"):
                    filesystem.rm(f"{folder.path}/{name}".rstrip("/"), recursive=True)
            total -= folder.size
            removed.append(folder.path)
    if removed:
        logger.info("removed %d old caches and attempts", len(removed))
    return [place.removeprefix(f"{root}/") for place in removed]


def _abandoned(filesystem, place: str) -> list[str]:
    """The attempts in a cache's folder that its manifest does not name."""
    manifest = f"{place}/manifest.json"
    kept = json.loads(filesystem.cat_file(manifest))["url"] if filesystem.exists(manifest) else ""
    return [
        attempt
        for attempt in filesystem.ls(place, detail=False)
        if re.search("/[0-9a-f]{32}$", attempt) and not kept.endswith(attempt.rsplit("/", 1)[1])
    ]


def _folders(filesystem, place: str) -> list[str]:
    return filesystem.ls(place, detail=False) if filesystem.isdir(place) else []


def _touched(filesystem, place: str) -> datetime:
    """When a folder's newest file was written."""
    found = filesystem.find(place, detail=True).values()
    return max(map(modified_at, found), default=datetime.fromtimestamp(0, UTC))
