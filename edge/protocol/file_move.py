"""Moving one file of the landing zone, by its name alone."""

import fsspec


def move_file(filesystem: fsspec.AbstractFileSystem, old: str, new: str) -> None:
    """Move a file, whatever characters its name has."""
    if type(filesystem).mv is fsspec.AbstractFileSystem.mv:
        # it copies and deletes all that a name matches as a pattern, such as star*.jpg
        filesystem.cp_file(old, new)
        filesystem.rm_file(old)
    else:
        filesystem.mv(old, new)
