"""The frozen backbone's features of the images, more of them while they are computed."""

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steps.features.weights import SHA256
from steps.labelling.describing import (
    RECORD,
    SIDE,
    WIDTH,
    count_records,
    describe_images,
    read_records,
)
from steps.labelling.image_index import ImageIndex
from steps.labelling.journal import journal_folder
from steps.labelling.similarity import PROJECTED, project
from steps.pipeline.signals import handlers_kept
from steps.settings.profile import Profile
from steps.training.networks import FROZEN

CHUNK = 4096
"""Records that are read from disk at once."""

SETTLED = 2000
"""Images after which the features are standardised again only once their number has doubled."""


class Standardisation(NamedTuple):
    """How the backbone's features are standardised: by mean and scale of the first records."""

    records: int
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]


class ImageFeatures:
    """Features of a lake's images; more of them while a process of its own computes.

    Safe for several threads.

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
        spawn = multiprocessing.get_context("spawn")
        self._wanted = spawn.Queue()
        self._wanted.cancel_join_thread()  # what is asked for does not matter at the end
        arguments = (profile, source, self.file, self._wanted)
        self._process = spawn.Process(target=describe_images, args=arguments, daemon=True)
        self._lock = threading.Lock()
        self._standard = Standardisation(0, np.zeros(WIDTH, "f4"), np.ones(WIDTH, "f4"))
        self._points = np.empty((0, PROJECTED), np.float32)
        self._places: dict[bytes, int] = {}

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

    def want(self, hashes: list[str]) -> None:
        """Have the features of some images computed next: the page shows them."""
        if self._process.pid and self._process.is_alive():
            self._wanted.put(hashes)

    def count(self) -> int:
        """Return how many images have features by now, of whatever source."""
        return count_records(self.file)

    @property
    def progress(self) -> tuple[int, bool]:
        """A value that changes as features are added, about a tenth at a time, and at the end."""
        is_computing = bool(self._process.pid) and self._process.is_alive()
        return int(10 * np.log1p(self.count())), is_computing

    def read(self, images: ImageIndex) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return the images that have features, and these in fewer dimensions.

        Returns:
            numbers ``[N]`` in the index, and ``float32 [N, PROJECTED]``, standardised over the
            images, of a mean squared length of 1.
        """
        with self._lock:
            self._project()
            found = (self._places.get(sha256, -1) for sha256 in images.sha256.tolist())
            places = np.fromiter(found, np.intp, len(images))
            numbers = np.flatnonzero(places >= 0)
            return numbers, self._points[places[numbers]]

    def values(
        self, images: ImageIndex, wanted: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return which of some images have features, and these in full.

        Args:
            images: the index.
            wanted: numbers in it.

        Returns:
            numbers ``[N]``, and ``float32 [N, WIDTH]``, standardised, of a mean squared length
            of 1.
        """
        with self._lock:
            self._project()
            found = [self._places.get(sha256, -1) for sha256 in images.sha256[wanted].tolist()]
            places = np.array(found, np.intp)
            known = places >= 0
            records = read_records(self.file)[places[known]]
            return wanted[known], _standardise(records, self._standard)

    def _project(self) -> None:
        """Project the records that are new since the last call, or all if they are many."""
        count, known = count_records(self.file), self._standard.records
        if count != known and (count < SETTLED or count >= 2 * known):
            self._standard, self._points = _measure(self.file, count), self._points[:0]
        for start, some in _chunks(self.file, len(self._points), count):
            for place, sha256 in enumerate(some["sha256"].tolist(), start):
                self._places.setdefault(sha256, place)
            new = project(_standardise(some, self._standard))
            self._points = np.concatenate([self._points, new])


def _chunks(file: Path, start: int, end: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield the records from one on, some at a time: each is mapped only while it is used."""
    for first in range(start, end, CHUNK):
        yield first, read_records(file, RECORD, first, min(CHUNK, end - first))


def _measure(file: Path, count: int) -> Standardisation:
    sums, squares = np.zeros(WIDTH), np.zeros(WIDTH)
    for _, records in _chunks(file, 0, count):
        values = records["values"].astype("f4")
        sums += values.sum(axis=0, dtype=float)
        squares += np.einsum("nw,nw->w", values, values, dtype=float)
    mean = sums / max(count, 1)
    deviation = np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 0))
    scale = 1 / np.maximum(deviation, 1e-3) / WIDTH**0.5
    return Standardisation(count, mean.astype("f4"), scale.astype("f4"))


def _standardise(records: NDArray[Any], standard: Standardisation) -> NDArray[np.float32]:
    values: NDArray[np.float32] = records["values"].astype("f4")
    return (values - standard.mean) * standard.scale
