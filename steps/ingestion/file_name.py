"""What an image's name and folder say about it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote


@dataclass(frozen=True)
class Named:
    """Capture time (UTC where the name gives no offset), device, view and label, where known."""

    matches: bool = False
    captured_at: datetime | None = None
    device_id: str | None = None
    view: str | None = None
    label: str | None = None


def read_name(path: str, source: str, pattern: str) -> Named:
    """Read an image's name, or take the folder below ``source`` as its label.

    A name that fits the pattern speaks for itself, with or without a label in it. Any other
    image is labelled by the folder that it is in (``shoes/IMG_1.jpg`` is a ``shoes``); one
    that is directly in ``source`` has no label.

    Args:
        path: the image's path or URI.
        source: the folder or URI that was taken in.
        pattern: a regular expression with the groups time, device, view, label.
    """
    match = re.match(pattern, path.rpartition("/")[2])
    if match is None:
        return Named(label=_folder_below(path, source))
    return Named(True, _time(match["time"]), match["device"], match["view"], match["label"])


def _folder_below(path: str, source: str) -> str | None:
    # by text: a path object would fold the two slashes of a URI
    folder = path.rpartition("/")[0]
    return None if folder == source.rstrip("/") else folder.rpartition("/")[2]


def _time(text: str | None) -> datetime | None:
    if text is None:  # the profile's pattern may leave it open
        return None
    try:
        time = datetime.fromisoformat(unquote(text))
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    # fits the pattern but is no time, such as the 31st of June or one before all others
    except (ValueError, OverflowError):
        return None
