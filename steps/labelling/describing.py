"""The process that computes features beside the page, and the file in which they are kept."""

import os
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.inference.errors import UnreadableError
from edge.inference.prepare import prepare
from steps.ingestion.label_rows import current_labels
from steps.ingestion.tables import IMAGES
from steps.labelling.image_content import ImageContent
from steps.labelling.image_index import ImageIndex, read_index
from steps.settings.profile import Profile
from steps.training.networks import FROZEN

SIDE = 128
"""Pixels of the images that the backbone sees: enough to tell what is similar, and fast."""

WIDTH = 1904
RECORD = np.dtype([("sha256", "S64"), ("values", "<f2", (WIDTH,))])
BATCH = 16

MOST = 100_000
"""Images that get features. On disk they are 4 kB each; in memory there is their projection."""


NEWEST = 1000
"""Labelled images that a head is fitted to, at most: so it takes a fraction of a second."""


def count_records(file: Path, record: np.dtype[Any] = RECORD) -> int:
    """Return how many complete records of images a file has; one being written does not count."""
    return file.stat().st_size // record.itemsize if file.exists() else 0


def read_records(
    file: Path, record: np.dtype[Any] = RECORD, start: int = 0, count: int | None = None
) -> NDArray[Any]:
    """Return a file's records of images, mapped into memory: all complete ones, or some of them."""
    count = count_records(file, record) - start if count is None else count
    if count <= 0:
        return np.empty(0, record)
    return np.memmap(file, record, "r", offset=start * record.itemsize, shape=(count,))


def describe_images(profile: Profile, source: str, file: Path, wanted: Any) -> None:
    """Append the features of the images that have none: a process of its own, of low priority.

    Args:
        profile, source: name the images.
        file: of the records.
        wanted: a queue of lists of hashes that come first.
    """
    parent = os.getppid()
    os.nice(15)
    images, content = read_index(profile, source), ImageContent(IMAGES.path(profile))
    known = set(read_records(file)["sha256"].tolist())
    order = in_order(images, np.array([*current_labels(profile)], "S64"))[:MOST].tolist()
    missing = {number: None for number in order if images.sha256[number] not in known}
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as records:
        records.truncate(file.stat().st_size // RECORD.itemsize * RECORD.itemsize)
        while missing and os.getppid() == parent:  # else it was killed
            numbers = _next_batch(missing, images, wanted)
            read, pixels = read_pixels(images, content, numbers)
            if read:
                found = np.empty(len(read), RECORD)
                found["sha256"], found["values"] = images.sha256[read], _describe(pixels)
                records.write(found.tobytes())
                records.flush()


def in_order(images: ImageIndex, labelled: NDArray[np.bytes_]) -> NDArray[np.intp]:
    """Return the images in the order in which they get features.

    First the newest labelled ones, to which a head is fitted; then those without a label, and at
    last the other labelled ones, each from the newest on.

    Args:
        images: the index.
        labelled: hashes of images that have a label in the table ``labels``.
    """
    own = images.columns["label"].is_valid().to_numpy()
    has_label = (own | np.isin(images.sha256, labelled))[::-1]
    rank = np.where(has_label, np.where(np.cumsum(has_label) <= NEWEST, 0, 2), 1)
    return len(images) - 1 - np.argsort(rank, kind="stable")


def _next_batch(missing: dict[int, None], images: ImageIndex, wanted: Any) -> list[int]:
    """Take a batch of images out of the missing ones, those first that are wanted."""
    first: dict[int, None] = {}
    while not wanted.empty():
        found = (images.find(sha256) for sha256 in wanted.get())
        first |= {number: None for number in found if number in missing}
    batch = list(first) or list(islice(missing, BATCH))
    for number in batch:
        del missing[number]
    return batch


def _describe(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    from steps.training.feature_cache import Source, compute_features

    return compute_features(Source(FROZEN[0], (SIDE, SIDE), 0), pixels, copies=1, seed=0)


def read_pixels(
    images: ImageIndex, content: ImageContent, numbers: list[int]
) -> tuple[list[int], NDArray[np.uint8]]:
    """Return the images of a batch that can be read, and their pixels."""
    read: dict[int, NDArray[np.uint8]] = {}
    for number in numbers:
        try:
            read[number] = prepare(content.read(*images.place_of(number)), (SIDE, SIDE))
        except (OSError, UnreadableError):  # gone meanwhile: the page says so if it is shown
            continue
    return list(read), np.array(list(read.values()), np.uint8)
