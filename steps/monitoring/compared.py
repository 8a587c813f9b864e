"""What is compared of each device, read from the lake without Spark."""

import fcntl
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from steps.ingestion.label_rows import current_labels
from steps.ingestion.tables import BY_DEVICE, IMAGES, SCORES, TIME
from steps.labelling.describing import BATCH, read_pixels, read_records
from steps.labelling.image_content import ImageContent
from steps.labelling.image_index import read_index
from steps.labelling.journal import journal_folder
from steps.lake.newest import read_newest
from steps.monitoring.detector import BLOCK, FEWEST, Values
from steps.monitoring.frames import FILE, HOUR, KEPT, Frames, see
from steps.settings.profile import Profile

Numbers = NDArray[np.intp]

OWN_DAYS = 7
"""Days of a device's own images that stand for the training images if it has too few."""

PER_BLOCK = 4
"""Images of each block that are looked at, drawn by their hash."""


SCORED = pa.schema(
    [(name, pa.string()) for name in ("sha256", "model", "model_version", "label", "scored_by")]
    + [("scored_at", TIME), ("score", pa.float64())]
)


@dataclass(frozen=True)
class Version:
    """The version whose images are compared: its name, number, source, training and its run."""

    model: str
    number: str
    source: str
    trained_at: datetime
    trained_by: str

    @property
    def micro(self) -> int:
        """When its training began, in microseconds since 1970."""
        return int(self.trained_at.timestamp() * 1e6)


@dataclass(frozen=True)
class Scores:
    """The answers to a device's images: how uncertain each is, 0–1.

    Attributes:
        times: microseconds since 1970, ``int64 [N]``.
        uncertainty: 1 – the probability of the likeliest label, ``[N]``.
    """

    times: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    uncertainty: Values = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class Watched:
    """What is compared of a device: training images with what came in since, and so of answers."""

    training: Frames
    frames: Frames
    usual_scores: Scores = Scores()
    scores: Scores = Scores()


@dataclass(frozen=True)
class Compared:
    """A device's images that are compared with known ones.

    Attributes:
        watched: what is compared with what.
        known, new: the images' numbers in the index, as ``watched`` has them.
        basis: what the new ones are compared with, in words.
    """

    watched: Watched
    known: Numbers
    new: Numbers
    basis: str


class Scored(NamedTuple):
    """The answers of a version that the monitor compares, ``[N]``.

    Attributes:
        numbers: of the images in the index; -1 if an image is not in the lake.
        times: of the capture, or else of the scoring, microseconds since 1970.
        uncertainty: 1 – the probability of the answer.
        scored_by: spark, or edge:<device>.
        labels: the answers.
    """

    numbers: Numbers
    times: NDArray[np.int64]
    uncertainty: NDArray[np.float64]
    scored_by: NDArray[np.object_]
    labels: NDArray[np.object_]


class Comparison:
    """The images of a version's landing zone, and what is compared of each device.

    Args:
        profile: names the lake.
        version: of the model.

    Attributes:
        index: the images.
        is_new: which came in after the version's training began, ``bool [N]``.
    """

    def __init__(self, profile: Profile, version: Version):
        self.profile, self.version = profile, version
        self.index = read_index(profile, version.source)
        self.is_new = self.arrived >= version.micro
        self._content = ImageContent(IMAGES.path(profile))

    @cached_property
    def arrived(self) -> NDArray[np.int64]:
        """When each image was ingested, microseconds since 1970."""
        times: NDArray[np.int64] = self.index.columns["ingested_at"].cast(pa.int64()).to_numpy()
        return times

    @cached_property
    def has_label(self) -> NDArray[np.bool_]:
        """Which images have a label."""
        named = self.index.columns["label"].is_valid().to_numpy(zero_copy_only=False)
        has_label: NDArray[np.bool_] = np.array(named)
        for sha256, row in current_labels(self.profile).items():
            number = self.index.find(sha256)
            if number is not None:
                has_label[number] = row["label"] is not None
        return has_label

    @cached_property
    def scored(self) -> Scored:
        """The answers of this version, in time order; a device may have millions."""
        where = (pc.field("model_version") == self.version.number) & pc.field("score").is_valid()
        where &= pc.field("model") == self.version.model
        rows = read_newest(SCORES.path(self.profile), SCORED, where)
        rows = rows.sort_by("scored_at").combine_chunks()
        numbers = self._find(np.array(pc.fill_null(rows["sha256"], "").to_numpy(), "S64"))
        times = rows["scored_at"].cast(pa.int64()).to_numpy()
        if len(self.index):
            times = np.where(numbers >= 0, self.index.times[numbers], times)
        return Scored(
            numbers,
            times,
            1 - rows["score"].to_numpy(),
            pc.fill_null(rows["scored_by"], "").to_numpy(zero_copy_only=False),
            rows["label"].to_numpy(zero_copy_only=False),
        )

    def _find(self, hashes: NDArray[np.bytes_]) -> Numbers:
        """Return the images' numbers in the index; -1 if they are not there."""
        order = np.argsort(self.index.sha256)
        ranks = np.searchsorted(self.index.sha256, hashes, sorter=order)
        numbers: Numbers = order[np.minimum(ranks, len(order) - 1)]
        return np.where(self.index.sha256[numbers] == hashes, numbers, -1)

    def read_image(self, number: int) -> bytes:
        """Return the bytes of an image."""
        return self._content.read(*self.index.place_of(number))

    def device(self, name: str) -> Compared:
        """Return what is compared of a device."""
        names, of_image = self.index.devices
        own = of_image == names.index(name)
        known, basis = self._draw(own & ~self.is_new & self.has_label), "its training images"
        new = self._draw(own & self.is_new)
        times = self.index.times
        if len(np.unique(times[known] // BLOCK)) < FEWEST and len(new):
            early = self._is_early(times[new])
            known, new, basis = new[early], new[~early], f"its own first {OWN_DAYS} days"
        (training, known), (frames, new) = self._see(known), self._see(new)
        usual, scores = self._scores_of(name)
        return Compared(Watched(training, frames, usual, scores), known, new, basis)

    def _is_early(self, times: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which times, in order, are of the first days since the training.

        An image may be dated years before, by a clock that was not set yet.
        """
        later = times[times >= self.version.micro]
        first = (later if len(later) else times)[:1].sum()
        early: NDArray[np.bool_] = times < first + OWN_DAYS * 24 * HOUR
        return early

    def _draw(self, which: NDArray[np.bool_]) -> Numbers:
        """Return a few of the images of each block, drawn by their hash, in time order."""
        numbers = np.flatnonzero(which)
        numbers = numbers[np.argsort(self.index.sha256[numbers])]
        blocks = self.index.times[numbers] // BLOCK
        order = np.argsort(blocks, kind="stable")
        _, firsts, counts = np.unique(blocks[order], return_index=True, return_counts=True)
        place = np.arange(len(numbers)) - np.repeat(firsts, counts)
        return np.sort(numbers[order][place < PER_BLOCK])

    def _see(self, numbers: Numbers) -> tuple[Frames, Numbers]:
        """Return the frames of images that can be read; what was seen before is known."""
        cache = self.profile.cache
        remote = "://" in cache
        file = (journal_folder(self.profile) if remote else Path(cache, "monitoring")) / FILE
        known = set(read_records(file, KEPT)["sha256"].tolist())
        missing = [int(n) for n in numbers if self.index.sha256[n] not in known]
        if missing:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("ab") as records:
                fcntl.flock(records, fcntl.LOCK_EX)  # another monitor may write as well
                records.truncate(file.stat().st_size // KEPT.itemsize * KEPT.itemsize)
                for start in range(0, len(missing), BATCH):
                    some = missing[start : start + BATCH]
                    read, pixels = read_pixels(self.index, self._content, some)
                    if read:
                        records.write(see(pixels, self.index.sha256[read]).tobytes())
        records_now = read_records(file, KEPT)
        hashes, firsts = np.unique(records_now["sha256"], return_index=True)
        if not len(hashes):
            return Frames(np.empty(0, np.int64), np.empty(0, KEPT)), numbers[:0]
        wanted = self.index.sha256[numbers]
        places = np.minimum(np.searchsorted(hashes, wanted), len(hashes) - 1)
        found = hashes[places] == wanted
        frames = Frames(self.index.times[numbers[found]], records_now[firsts[places[found]]])
        return frames, numbers[found]

    def _scores_of(self, device: str) -> tuple[Scores, Scores]:
        """Return how uncertain the answers for a device were: the usual ones, and later ones.

        The usual ones are those of its first days: the network knows its training images too well.
        """
        scored, (names, of_image) = self.scored, self.index.devices
        known = scored.numbers >= 0
        own = np.where(known, of_image[scored.numbers] == names.index(device), False)
        own |= scored.scored_by == BY_DEVICE + device
        own &= ~known | self.is_new[scored.numbers]
        chosen = np.flatnonzero(own)
        chosen = chosen[np.argsort(scored.times[chosen], kind="stable")]
        times, values = scored.times[chosen], scored.uncertainty[chosen]
        early = self._is_early(times)
        return Scores(times[early], values[early]), Scores(times[~early], values[~early])
