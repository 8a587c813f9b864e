"""The fields that an image's name and folder give."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote

from steps.ingestion.label_text import normalize_label


@dataclass(frozen=True)
class FileName:
    """Capture time (UTC if the name has no offset), device, view and label; None if unknown."""

    matches: bool = False
    captured_at: datetime | None = None
    device_id: str | None = None
    view: str | None = None
    label: str | None = None


def parse_file_name(path: str, source: str, pattern: str) -> FileName:
    """Parse an image's name, or use the folder below ``source`` as its label.

    A name that matches the pattern decides, with or without a label in it. Any other image is
    labelled by its folder: ``shoes/IMG_1.jpg`` is a ``shoes``. An image directly in ``source`` has
    no label.

    Args:
        path: the image's path or URI.
        source: the landing zone's folder or URI.
        pattern: a regular expression with the groups time, device, view, label.
    """
    match = re.match(pattern, path.rpartition("/")[2])
    if match is None:
        return FileName(label=_folder_below(path, source))
    label = normalize_label(match["label"])
    return FileName(True, _time(match["time"]), match["device"], match["view"], label)


def _folder_below(path: str, source: str) -> str | None:
    # by text: a path object would fold the two slashes of a URI
    folder = path.rpartition("/")[0]
    return None if folder == source.rstrip("/") else normalize_label(folder.rpartition("/")[2])


def _time(text: str | None) -> datetime | None:
    if text is None:  # the group is optional in the profile's pattern
        return None
    try:
        time = datetime.fromisoformat(unquote(text))
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    # matches the pattern but is not a valid time, such as the 31st of June or one out of range
    except (ValueError, OverflowError):
        return None
