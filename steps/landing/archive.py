"""Moving ingested files out of the landing zone, so that listing it stays fast."""

from pathlib import PurePosixPath

import fsspec

from edge.protocol.file_move import move_file
from steps.errors import UserError
from steps.landing.listing import LandedFile
from steps.landing.place import open_place


def archive(files: list[LandedFile], source: str, target: str) -> int:
    """Move files below ``target`` with their folders and return their number.

    A file that changed after it was listed stays: its new bytes are not ingested yet.

    Args:
        files: files that are in the tables.
        source: the landing zone, with which their paths start.
        target: a folder or URI of the same file system, as the tables write paths.

    Raises:
        UserError: the target is on another file system, or inside the landing zone.
    """
    filesystem, root = open_place(source)
    other, kept = open_place(target)
    if other is not filesystem or f"{kept}/".startswith(f"{root}/"):
        raise UserError(
            f"cannot archive {source} in {target}; pass -P archive=<folder beside the source>"
        )
    moved = 0
    for file in files:
        below = file.path.removeprefix(source)
        try:
            info = filesystem.info(root + below)
        except FileNotFoundError:
            continue
        if file.is_unchanged(info):
            new = _find_free(filesystem, PurePosixPath(kept + below))
            filesystem.makedirs(str(new.parent), exist_ok=True)
            move_file(filesystem, root + below, str(new))
            moved += 1
    return moved


def _find_free(filesystem: fsspec.AbstractFileSystem, path: PurePosixPath) -> PurePosixPath:
    """Return the path, or one with a number if it is taken by an earlier file."""
    candidate, number = path, 1
    while filesystem.exists(str(candidate)):
        number += 1
        candidate = path.with_name(f"{path.stem}~{number}{path.suffix}")
    return candidate
