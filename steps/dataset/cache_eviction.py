"""The disk space of Petastorm caches: interrupted attempts and the longest unused caches go."""

import json
import logging
import re
from datetime import UTC, datetime, timedelta

import fsspec
from fsspec import AbstractFileSystem

from steps.landing.walk import listed_time

logger = logging.getLogger(__name__)

USED = "used"
"""A file in a cache's folder that says when a step last used the cache."""
IN_USE = timedelta(hours=6)
"""An attempt or a cache that was touched more recently may be in use by another step."""
CHECKPOINTS = "checkpoints"
"""The folder of the checkpoints that interrupted trainings resume from, a folder per run."""
CHECKPOINT_AGE = timedelta(days=30)


def mark_used(folder: str) -> None:
    """Note that a cache is used now."""
    filesystem, path = fsspec.core.url_to_fs(f"{folder}/{USED}")
    filesystem.pipe_file(path, datetime.now(UTC).isoformat().encode())


def evict_caches(caches: str, limit: int, spare: str, now: datetime | None = None) -> list[str]:
    """Remove interrupted attempts, month-old checkpoints and the longest unused caches.

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
    # only folders that are named as caches are: the others are not the project's
    names = [p for p in filesystem.ls(root, detail=False) if re.search("/[0-9a-f]{16}$", p)]
    ages = [(one, IN_USE) for place in names for one in _abandoned_attempts(filesystem, place)]
    runs = f"{root}/{CHECKPOINTS}"
    if filesystem.isdir(runs):
        ages += [(run, CHECKPOINT_AGE) for run in filesystem.ls(runs, detail=False)]
    removed = [place for place, age in ages if now - _last_write(filesystem, place) > age]
    for attempt in removed:
        filesystem.rm(attempt, recursive=True)
    caches_by_use = sorted((_last_write(filesystem, p), p) for p in names)
    sizes = {place: filesystem.du(place) for place in names}
    for touched, place in caches_by_use:
        in_use = now - touched <= IN_USE or place.endswith(spare)
        if sum(sizes.values()) > limit and not in_use:
            # the manifest first: half a cache must not pass for a complete one
            for name in (f"{place}/manifest.json", place):
                if filesystem.exists(name):
                    filesystem.rm(name, recursive=True)
            del sizes[place]
            removed.append(place)
    if removed:
        logger.info("removed %d old caches, attempts and checkpoints", len(removed))
    return [place.removeprefix(f"{root}/") for place in removed]


def _abandoned_attempts(filesystem: AbstractFileSystem, place: str) -> list[str]:
    """Return the attempts in a cache's folder that its manifest does not name."""
    manifest = f"{place}/manifest.json"
    url = json.loads(filesystem.cat_file(manifest))["url"] if filesystem.exists(manifest) else ""
    return [
        attempt
        for attempt in filesystem.ls(place, detail=False)
        if re.search("/[0-9a-f]{32}$", attempt) and not url.endswith(attempt.rsplit("/", 1)[1])
    ]


def _last_write(filesystem: AbstractFileSystem, place: str) -> datetime:
    """Return when a folder's newest file was written."""
    found = filesystem.find(place, detail=True).values()
    return max(map(listed_time, found), default=datetime.fromtimestamp(0, UTC))
