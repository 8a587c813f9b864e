"""What is known of a cache's images besides the object that they show: one row for each image."""

import re
from typing import Any

import numpy as np
import pandas as pd

from steps.dataset.cache import Cache
from steps.dataset.cache_reader import read_row_groups
from steps.dataset.outside import CELLS
from steps.dataset.split import SPLITS
from steps.evaluation.predictions import blocks_of

MOST_IMAGES = 5000
"""About how many images are read: enough for each estimate, in a second or two."""

FILE = ["path", "camera", "bytes", "width", "height", "exposure_seconds", "iso", "jpeg_step"]
COLUMNS = ["sha256", "label", "device_id", "captured_at", "outside", "pixels", *FILE]

OUTSIDE = [f"outside {number}" for number in range(3 * CELLS**2)]
CORNERS = [f"{place} {band}" for place in ("nw", "ne", "sw", "se") for band in "rgb"]

CUES = {
    "day": ["day"],
    "hour": ["hour"],
    "device": ["device"],
    "brightness": ["brightness"],
    "corner pixels": CORNERS,
    "area outside the region": OUTSIDE,
    "image size": ["width", "height"],
    "compression": ["jpeg_step", "bytes_per_pixel"],
    "EXIF": ["camera", "exposure_seconds", "iso"],
    "file name": ["name"],
}
"""The columns of each cue."""


def describe_images(cache: Cache) -> pd.DataFrame:
    """Read what is known of a cache's images, of thousands a sample that their hashes draw.

    Returns:
        ``sha256``, ``label``, ``split``, ``block`` (an hour of one device) and the columns of
        ``CUES``; what is not known is null.
    """
    frames = []
    for split in SPLITS:
        rows, share = 0, MOST_IMAGES * cache.rows(split) / sum(map(cache.rows, SPLITS))
        for group in read_row_groups(cache, split, COLUMNS):
            frames.append(_describe_group(group, cache).assign(split=split))
            rows += len(group.sha256)
            if rows >= share:
                break
    images = pd.concat(frames, ignore_index=True)
    pairs = zip(images["path"], images["label"], strict=True)
    return images.assign(name=[_name_pattern(path, label) for path, label in pairs])


def _describe_group(group: Any, cache: Cache) -> pd.DataFrame:
    fields = group._asdict()
    pixels = cache.stack(fields.pop("pixels"))
    unknown = [np.nan] * len(OUTSIDE)
    outside = np.array([list(cells) or unknown for cells in fields.pop("outside")])
    times = pd.Series(fields["captured_at"].astype("datetime64[us]"))
    images = pd.DataFrame(fields | {"captured_at": times})
    corners = pixels[:, [0, 0, -1, -1], [0, -1, 0, -1]].reshape(len(pixels), -1)
    return images.assign(
        label=np.array(cache.labels)[images["label"]],
        block=blocks_of(times.to_numpy("datetime64[us]"), images["device_id"], images["sha256"]),
        day=times.dt.strftime("%Y-%m-%d"),
        hour=times.dt.strftime("%H:00"),
        device=images["device_id"],
        brightness=pixels.mean(axis=(1, 2, 3)),
        bytes_per_pixel=images["bytes"] / (images["width"] * images["height"]),
        **dict(zip(CORNERS, corners.T, strict=True)),
        **dict(zip(OUTSIDE, outside.T, strict=True)),
    )


def _name_pattern(path: str, label: str) -> str:
    """Return a file's name without its numbers and its label: where it is from.

    >>> _name_pattern("file:/landing/cat/IMG_2041_cat.jpg", "cat")
    'IMG_#_.jpg'
    >>> _name_pattern("file:/landing/a/camera 2.jpg", "a")
    'camera #.jpg'
    """
    name, label = (re.sub(r"\d+", "#", text) for text in (path.rpartition("/")[2], label))
    return re.sub(rf"(?<![^\W_]){re.escape(label)}(?![^\W_])", "", name)
