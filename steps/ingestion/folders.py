"""What the folders of a landing zone say of an image: its class, and its split.

The class is the innermost folder that is none of these: a date, a folder that a device made, and,
if the images bring a split of their own, the folder of a split.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from steps.ingestion.label_text import normalize_label

SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""The splits by the usual names of their folders, and of their values in a table."""

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DATES = (
    # 2026, 2026-07, 20260713, 2026/07/13, 2026-07-13T03:04:54
    r"(?:19|20)\d\d(?:[-_. /]?(?:0[1-9]|1[0-2])(?:[-_. /]?(?:0[1-9]|[12]\d|3[01])"
    r"(?:[-_. T]?\d\d(?::|%3A|[-_.h])?\d\d(?:(?::|%3A|[-_.m])?\d\d)?)?)?)?",
    r"(?:0?[1-9]|[12]\d|3[01])[-_. ](?:0?[1-9]|1[0-2])[-_. ](?:19|20)\d\d",
    rf"(?:\d\d?\.? )?{_MONTH}\.? (?:19|20)\d\d",
)
_DEVICES = (
    r"dcim(?:/camera|/\d{3}\w{5})?",
    r"(?-i:[1-9]\d\d(?=[A-Z_])[A-Z0-9_]{5})",  # as cameras number them: 100CANON
    r"(?:19|20)\d{4}_[a-z_]",  # as phones do: 202607_a
    r"again-[0-9a-f]{12}",  # as this project's devices do for a name that exists
)


def _folders(kinds: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<![^/])(?:{'|'.join(kinds)})(?![^/])", re.IGNORECASE)


DATE, DEVICE = _folders(_DATES), _folders(_DEVICES)


class Folders(NamedTuple):
    """The class and the split that folders give; None if they give none."""

    label: str | None
    split: str | None


def parse_folders(below: str, has_splits: bool) -> Folders:
    """Return what an image's folders say.

    Args:
        below: the folders below the landing zone, with / between.
        has_splits: whether the images bring a split of their own.

    >>> parse_folders("train/2026-07-13/ants", True)
    Folders(label='ants', split='train')
    """
    classes = [folder for folder in DEVICE.sub("", DATE.sub("", below)).split("/") if folder]
    names = (folder for folder in classes if has_splits and folder.lower() in SPLIT_FOLDERS)
    if split := next(names, None):
        classes.remove(split)
    label = normalize_label(classes[-1]) if classes else None
    return Folders(label, SPLIT_FOLDERS[split.lower()] if split else None)


def normalize_split(text: str | None) -> str | None:
    """Return a split's usual name, or the text as a label is written; None if empty.

    >>> normalize_split("VAL"), normalize_split("hold-out")
    ('validation', 'hold-out')
    """
    split = normalize_label(text)
    return SPLIT_FOLDERS.get(split.lower(), split) if split else None


def folder_of(path: str, source: str) -> str:
    """Return the folders of a path below the landing zone; empty if it is directly in it."""
    # by text: a path object would fold the two slashes of a URI
    return path.rpartition("/")[0].removeprefix(source.rstrip("/")).lstrip("/")


def folders_below(paths: Iterable[str], source: str) -> set[str]:
    """Return the folders of images by their paths, below the landing zone."""
    return {folder_of(f"{above}/", source) for above in {path.rpartition("/")[0] for path in paths}}


def have_splits(folders: Iterable[str]) -> bool:
    """Return whether folders are called val or test, say: the images bring a split of their own.

    A folder ``train`` alone may be a class, beside ``car`` and ``bus``.
    """
    names = {name.lower() for folder in folders for name in folder.split("/")}
    return any(SPLIT_FOLDERS.get(name, "train") != "train" for name in names)


def describe_folders(folders: Iterable[str], has_splits: bool) -> list[str]:
    """Return a sentence for each thing about the folders that a user may have meant otherwise."""
    found: dict[str, set[str]] = {"dates": set(), "folders of a device": set()}
    parents: dict[str, set[str]] = {}
    for folder in folders:
        found["dates"].update(DATE.findall(folder))
        found["folders of a device"].update(DEVICE.findall(DATE.sub("", folder)))
        if label := parse_folders(folder, has_splits).label:
            parent = parse_folders(folder.rpartition("/")[0], has_splits).label
            parents.setdefault(label, set()).add(parent or "")
    notes = [f"{_listed(names)}: {kind}, not classes" for kind, names in found.items() if names]
    for label, above in sorted(parents.items()):
        if len(above - {label}) > 1:
            notes.append(f"{label} is one class, from {_listed(above)}")
        both = sorted(above & {*parents} - {label})
        notes += [f"{name} is a class, and so is {label} in it" for name in both]
    return notes


def _listed(names: set[str], shown: int = 3) -> str:
    first = [name or "the top" for name in sorted(names)[:shown]]
    return ", ".join(first) + (f" and {len(names) - shown} more" if len(names) > shown else "")
