"""What a listing of a landing zone leaves out, and why."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath

NO_SUFFIX = "without a suffix"

SHOWN = 10
"""Kinds and names in a message."""

FIXES = {
    ".heic .heif .hif .avif": "convert HEIC with `heif-convert a.heic a.jpg` (libheif-examples)",
    ".mov .mp4 .m4v .avi .mkv .webm .mts .3gp": "take frames of a video with `ffmpeg -i a.mov "
    "-vf fps=1 a-%05d.jpg`",
    ".dng .cr2 .cr3 .nef .arw .orf .raf .rw2": "develop raw with `darktable-cli a.dng a.jpg`",
    ".zip .tar .gz .tgz .7z .rar": "unpack archives",
}
"""What to do about the common kinds, by their suffixes."""


@dataclass
class LeftOut:
    """What stands beside the images of a landing zone and is left out.

    Attributes:
        suffixes: files that are no images, by suffix.
        hidden: files by what hides them, a folder or their own name.
        unread: why a file or folder cannot be read, by its path for people.
    """

    suffixes: Counter[str] = field(default_factory=Counter)
    hidden: Counter[str] = field(default_factory=Counter)
    unread: dict[str, str] = field(default_factory=dict)

    def add(self, name: str) -> None:
        """Count a file that is no image."""
        self.suffixes[printable_path(PurePosixPath(name).suffix.lower()) or NO_SUFFIX] += 1

    def add_unread(self, path: str, reason: str | None) -> None:
        """Name a file or folder that cannot be read."""
        self.unread[printable_path(path)] = reason or "it cannot be read"

    def add_error(self, error: OSError) -> None:
        """Name a folder that cannot be listed."""
        self.add_unread(error.filename, error.strerror)

    def kinds(self) -> list[tuple[str, int]]:
        """Return the most frequent kinds of files that are left out, and the count of others."""
        counts = self.suffixes + self.hidden
        shown = counts.most_common(SHOWN)
        others = counts.total() - sum(count for _, count in shown)
        return [*shown, ("others", others)] if others else shown

    def fixes(self) -> list[str]:
        """Return what to do about the common ones among them."""
        return [fix for kinds, fix in FIXES.items() if self.suffixes.keys() & set(kinds.split())]

    def sentences(self) -> list[str]:
        """Return what to tell a user: a few lines for any number of files."""
        counted = ", ".join(f"{count} {kind}" for kind, count in self.kinds())
        named = [f"{path} is not read: {reason}" for path, reason in self.unread.items()]
        if len(named) > SHOWN:
            named[SHOWN:] = [f"{len(named) - SHOWN} more are not read; the report lists them"]
        return ["; ".join([f"left out: {counted}", *self.fixes()])] * bool(counted) + named


def printable_path(path: str) -> str:
    """Return a path for people: control characters and bytes that are not UTF-8 are escaped."""
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)
    return "".join(shown).replace("\\udc", "\\x")
