"""The fields that an image's name and folder give."""

import re
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import unquote

from steps.ingestion.folders import folder_of, parse_folders
from steps.ingestion.label_text import normalize_label


class FileName(NamedTuple):
    """What a name and a folder give, by the columns of ``images``; None if unknown.

    Attributes:
        captured_at: in UTC, also if the name has no offset.
        device_id, view, label, split: the columns.
        label_from: ``name`` or ``folder``.
    """

    captured_at: datetime | None = None
    device_id: str | None = None
    view: str | None = None
    label: str | None = None
    label_from: str | None = None
    split: str | None = None


def parse_file_name(path: str, source: str, pattern: str, has_splits: bool = False) -> FileName:
    """Parse an image's name, or use the folder below ``source`` as its label.

    A name that matches the pattern decides, with or without a label in it. Any other image is
    labelled by its folder: ``shoes/IMG_1.jpg`` is a ``shoes``. An image directly in ``source`` has
    no label.

    Args:
        path: the image's path or URI.
        source: the landing zone's folder or URI.
        pattern: a regular expression with the groups time, device, view, label.
        has_splits: whether folders called train, validation and test are splits, not classes.
    """
    folders = parse_folders(folder_of(path, source), has_splits)
    match = re.match(pattern, path.rpartition("/")[2])
    if match is None:
        origin = folders.label and "folder"
        return FileName(label=folders.label, label_from=origin, split=folders.split)
    label = normalize_label(match["label"])
    fields = _time(match["time"]), match["device"], match["view"], label, label and "name"
    return FileName(*fields, folders.split)


def _time(text: str | None) -> datetime | None:
    if text is None:  # the group is optional in the profile's pattern
        return None
    try:
        time = datetime.fromisoformat(unquote(text))
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    # matches the pattern but is not a valid time, such as the 31st of June or one out of range
    except (ValueError, OverflowError):
        return None
