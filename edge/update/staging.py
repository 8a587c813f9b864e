"""A release's files on their way: fetched into a staging folder, with resume."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from edge.files.disk_space import require_space
from edge.protocol.release import Release, ReleasedFile, ReleaseError
from edge.update.faultpoints import UpdateStep, reached
from edge.update.registry import LongerError, RegisteredVersion, Registry


class DamagedError(ReleaseError):
    """What was fetched is not what was released."""


def fetch(
    registry: Registry,
    version: RegisteredVersion,
    release: Release,
    staging: Path,
    have: Iterable[Path],
    reserve: int,
) -> int:
    """Bring all files of a release into a staging folder.

    What is there from an attempt before is kept: whole files as they are, the last one from
    where it broke off.

    Args:
        registry, version: where the files come from.
        release: which files.
        staging: where to; made where it is missing.
        have: folders on this device where a file of the release may lie already.
        reserve: bytes of the disk that stay free.

    Returns:
        The bytes that came over the network.

    Raises:
        edge.update.server.RegistryError: the registry does not give a file; try again later.
        DamagedError: a file is not what was released; it is deleted.
        edge.files.disk_space.SpaceError: the disk has no room for it.
    """
    staging.mkdir(exist_ok=True)
    reached(UpdateStep.STAGED)
    what = f"release {release.release} of {release.model}"
    require_space(staging, _missing(release, staging), reserve, what)
    downloaded = 0
    for file in release.files:
        target = staging / file.name
        if not file.is_at(target):
            if found := next((f for f in have if file.is_at(f / file.name)), None):
                shutil.copyfile(found / file.name, target)
            else:
                downloaded += _fetch_one(registry, version, file, target)
        reached(UpdateStep.FILE_FETCHED)
    reached(UpdateStep.FETCHED)
    return downloaded


def _fetch_one(
    registry: Registry, version: RegisteredVersion, file: ReleasedFile, target: Path
) -> int:
    if target.exists() and target.stat().st_size >= file.bytes:
        target.unlink()  # whole and yet not what was released
    try:
        came = registry.download(version, file.path, target, file.bytes)
        file.require(target)
    except (LongerError, ReleaseError) as error:
        target.unlink()
        raise DamagedError(str(error)) from error
    return came


def _missing(release: Release, staging: Path) -> int:
    """The bytes of a release that have not come yet."""
    targets = ((file, staging / file.name) for file in release.files)
    return sum(
        file.bytes - (target.stat().st_size if target.exists() else 0) for file, target in targets
    )
