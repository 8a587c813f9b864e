"""The files below a folder, to tell whether a command changed any."""

from pathlib import Path

from edge.protocol.release import sha256_of


def snapshot(folder: Path) -> dict[str, str]:
    """Every file below a folder but what an update remembers and stages; where links point."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else sha256_of(path)
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
        if path.name != "update.json" and not path.parent.name.startswith(".staging-")
    }
