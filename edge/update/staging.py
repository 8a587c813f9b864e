"""The download of a release's files into a staging folder, with resume."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from edge.files.disk_space import require_space
from edge.inference.errors import AgentTooOldError, RecordError
from edge.inference.record import ModelRecord
from edge.protocol.release import Release, ReleasedFile, ReleaseError
from edge.update.registry import Registry


def download_release(
    registry: Registry, release: Release, staging: Path, have: Iterable[Path], reserve: int
) -> int:
    """Download the files of a release into a staging folder.

    An earlier attempt is resumed: complete files are kept, and a partial one is continued.

    Args:
        registry: where they come from.
        release: names the files.
        staging: where they go; created if it is missing.
        have: folders on this device that may already have a file of the release.
        reserve: bytes of the disk that stay free.

    Returns:
        The number of bytes downloaded.

    Raises:
        edge.update.errors.RegistryError: the registry does not deliver a file; try again later.
        edge.protocol.release.ReleaseError: a file is not what was released, and is deleted; or the
            release needs a newer agent.
        edge.files.disk_space.SpaceError: the disk has too little free space.
    """
    staging.mkdir(exist_ok=True)
    what = f"release {release.release} of {release.model}"
    require_space(staging, _missing(release, staging), reserve, what)
    downloaded = 0
    for file in release.files:
        target = staging / file.name
        if not file.is_at(target):
            if found := next((f for f in have if file.is_at(f / file.name)), None):
                shutil.copyfile(found / file.name, target)
            else:
                downloaded += _fetch_one(registry, release, file, target)
    _require_new_enough_agent(release, staging)
    return downloaded


def _fetch_one(registry: Registry, release: Release, file: ReleasedFile, target: Path) -> int:
    if target.exists() and target.stat().st_size >= file.bytes:
        target.unlink()  # complete, but not what was released
    try:
        downloaded = registry.download(release, file, target)
        file.require(target)
    except ReleaseError:
        target.unlink()
        raise
    return downloaded


def _missing(release: Release, staging: Path) -> int:
    """Return how many bytes of a release are still to be downloaded."""
    targets = ((file, staging / file.name) for file in release.files)
    return sum(
        file.bytes - (target.stat().st_size if target.exists() else 0) for file, target in targets
    )


def _require_new_enough_agent(release: Release, staging: Path) -> None:
    """Raise :class:`ReleaseError` if a release needs a newer agent."""
    try:
        ModelRecord.read(staging)
    except AgentTooOldError as error:
        raise ReleaseError(f"release {release.release} {error}") from error
    except (RecordError, OSError):
        return  # the self-test reports it
