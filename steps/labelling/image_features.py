"""The frozen backbone's features of the images, computed beside the page and kept by their hash."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.inference.image import UnreadableError
from edge.inference.prepare import prepare
from steps.features.weights import SHA256
from steps.ingestion.tables import IMAGES
from steps.labelling.image_content import ImageContent
from steps.labelling.image_index import ImageIndex, read_index
from steps.labelling.journal import journal_folder
from steps.pipeline.signals import handlers_kept
from steps.settings.profile import Profile
from steps.training.networks import FROZEN

SIDE = 128
"""Pixels of the images that the backbone sees: enough to tell what is similar, and fast."""

WIDTH = 1904
RECORD = np.dtype([("sha256", "S64"), ("values", "<f2", (WIDTH,))])
BATCH = 16

MOST = 5_000
"""Images that get features, drawn by their hash: those of more would fill the memory."""


class ImageFeatures:
    """Features of a lake's images; more of them while a process of its own computes.

    Attributes:
        network: the backbone's name.

    Args:
        profile: names the lake, and the cache.
        source: the landing zone whose images get features.
    """

    network = FROZEN[0]

    def __init__(self, profile: Profile, source: str):
        remote = "://" in profile.cache
        folder = journal_folder(profile) if remote else Path(profile.cache, "labelling")
        self.file = folder / f"features-{SHA256[:16]}-{SIDE}"
        arguments = (profile, source, self.file)
        spawn = multiprocessing.get_context("spawn")
        self._process = spawn.Process(target=describe_images, args=arguments, daemon=True)

    def start(self) -> None:
        """Begin to compute what is missing, if TensorFlow is installed."""
        if not find_spec("tensorflow"):
            return
        with handlers_kept():
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: a Ctrl-C is for the page
            self._process.start()

    def stop(self) -> None:
        """Stop computing; what was computed stays."""
        if self._process.pid:
            self._process.terminate()
            self._process.join()

    def count(self) -> int:
        """Return how many images have features by now, of whatever source."""
        return len(_read_records(self.file))

    def read(self, images: ImageIndex) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return the images that have features, and these.

        Returns:
            numbers ``[N]`` in the index, and ``float32 [N, WIDTH]``, standardised over the images,
            of a mean squared length of 1.
        """
        records = _read_records(self.file)
        order = np.argsort(images.sha256)
        ranks = np.searchsorted(images.sha256, records["sha256"], sorter=order)
        numbers = order[np.minimum(ranks, len(order) - 1)]
        known = images.sha256[numbers] == records["sha256"]
        _, firsts = np.unique(numbers[known], return_index=True)
        numbers, values = numbers[known][firsts], records["values"][known][firsts].astype("f4")
        values -= values.mean(axis=0) if len(values) else 0
        values /= np.maximum(values.std(axis=0), 1e-3) if len(values) else 1
        return numbers, values / np.float32(WIDTH**0.5)


def _read_records(file: Path) -> NDArray[Any]:
    """Return the complete records of a file; one that is being written is left out."""
    size = file.stat().st_size if file.exists() else 0
    if size < RECORD.itemsize:
        return np.empty(0, RECORD)
    return np.memmap(file, RECORD, "r", shape=(size // RECORD.itemsize,))


def describe_images(profile: Profile, source: str, file: Path) -> None:
    """Append the features of the images that have none: a process of its own, of low priority."""
    parent = os.getppid()
    os.nice(15)
    images, content = read_index(profile, source), ImageContent(IMAGES.path(profile))
    known = set(_read_records(file)["sha256"].tolist())
    by_chance = np.argsort(images.sha256)[:MOST]
    missing = [int(number) for number in by_chance if images.sha256[number] not in known]
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as records:
        records.truncate(file.stat().st_size // RECORD.itemsize * RECORD.itemsize)
        for numbers, pixels in _batches(images, content, missing):
            if os.getppid() != parent:  # it was killed
                return
            found = np.empty(len(numbers), RECORD)
            found["sha256"], found["values"] = images.sha256[numbers], _describe(pixels)
            records.write(found.tobytes())
            records.flush()


def _describe(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    from steps.training.feature_cache import Source, describe

    return describe(Source(FROZEN[0], (SIDE, SIDE), 0), pixels, copies=1, seed=0)


def _batches(
    images: ImageIndex, content: ImageContent, numbers: list[int]
) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """Yield images that can be read, a few at a time, with their pixels."""
    waiting = iter(numbers)
    while some := list(islice(waiting, BATCH)):
        read: dict[int, NDArray[np.uint8]] = {}
        for number in some:
            try:
                read[number] = prepare(content.read(*images.place_of(number)), (SIDE, SIDE))
            except (OSError, UnreadableError):  # gone meanwhile: the page says so if it is shown
                continue
        if read:
            yield list(read), np.stack(list(read.values()))
