"""Batches for a rank, read from the Petastorm cache."""

import logging
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from steps.dataset.cache import Cache
from steps.dataset.remote_parquet import petastorm_filesystem

MIXED_GROUPS = 4
"""Row groups whose rows are shuffled together: bounds the memory, not the mixing over epochs."""

IDLE_SECONDS = 0.02
"""How often Petastorm's thread looks whether it has to stop while it has nothing to do. By its own
default, a millisecond, it takes a share of the core that trains for as long as a step lasts."""


@dataclass(frozen=True)
class Batch:
    """Images and classes, padded to the batch size.

    Attributes:
        pixels: ``uint8 [N, H, W, 3]``.
        classes: ``int32 [N]``.
        weights: ``float32 [N]``: 1, and 0 for rows that pad the last batch. They repeat real
            images, so that batch normalisation sees nothing foreign.
    """

    pixels: np.ndarray
    classes: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Shard:
    """One rank's share of a part: over all ranks every image comes once an epoch.

    Attributes:
        cache: the cache.
        part: ``train``, ``validation`` or ``test``.
        batch_size: images a batch and rank.
        rank, ranks: which share of how many.
    """

    cache: Cache
    part: str
    batch_size: int
    rank: int = 0
    ranks: int = 1

    def steps(self) -> int:
        """Batches an epoch: the same on all ranks and in all epochs, so that none waits."""
        groups = self.cache.group_rows[self.part]
        groups_a_rank = -(-len(groups) // self.ranks)
        most_rows = sum(sorted(groups, reverse=True)[:groups_a_rank])
        return -(-most_rows // self.batch_size)

    def epoch(self, seed: int | None) -> Iterator[Batch]:
        """The batches of one epoch.

        Args:
            seed: shuffles the rank's row groups and the rows within; another one for each
                epoch. None keeps the order of the cache.
        """
        rng = None if seed is None else np.random.default_rng([seed, self.rank])
        groups = len(self.cache.group_rows[self.part])
        if self.rank >= groups:  # nothing is left for this rank: it pads with a neighbour's
            pixels, classes = next(self._rebatched(rng, seed, self.rank % groups))
            for _ in range(self.steps()):
                yield self._padded(pixels[:0], classes[:0], (pixels, classes))
            return
        first: tuple[np.ndarray, np.ndarray] | None = None
        sent = 0
        for pixels, classes in self._rebatched(rng, seed, self.rank):
            first = first or (pixels, classes)
            yield self._padded(pixels, classes, first)
            sent += 1
        while first and sent < self.steps():  # this rank's groups were among the smaller ones
            yield self._padded(first[0][:0], first[1][:0], first)
            sent += 1

    def _rebatched(self, rng, seed, rank: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        images, classes, groups = [], [], 0
        # petastorm hands out nothing where there are more ranks than row groups
        ranks = min(self.ranks, len(self.cache.group_rows[self.part]))
        for group in row_groups(self.cache, self.part, ["pixels", "label"], seed, rank, ranks):
            images.append(group.pixels)
            classes.append(group.label.astype(np.int32))
            groups += 1
            if groups == MIXED_GROUPS:
                rest = yield from self._whole_batches(images, classes, rng)
                images, classes, groups = [rest[0]], [rest[1]], 0
        images, classes = yield from self._whole_batches(images, classes, rng)
        if len(classes):
            yield pixels_of(images, self.cache), classes

    def _whole_batches(self, images, classes, rng):
        """Yields pixels and classes; returns the images of no whole batch, and their classes.

        An image's bytes stay where they are until they are copied into their batch.
        """
        images, classes = np.concatenate(images), np.concatenate(classes)
        if rng is not None:
            order = rng.permutation(len(classes))
            images, classes = images[order], classes[order]
        end = len(classes) - len(classes) % self.batch_size
        for start in range(0, end, self.batch_size):
            chosen = slice(start, start + self.batch_size)
            yield pixels_of(images[chosen], self.cache), classes[chosen]
        return images[end:], classes[end:]

    def _padded(self, pixels, classes, filler) -> Batch:
        missing = self.batch_size - len(classes)
        if missing:
            pixels = np.concatenate([pixels, np.resize(filler[0], (missing, *filler[0].shape[1:]))])
            classes = np.concatenate([classes, np.resize(filler[1], missing)])
        weights = np.ones(self.batch_size, np.float32)
        weights[self.batch_size - missing :] = 0
        return Batch(pixels, classes, weights)


def row_groups(
    cache: Cache,
    part: str,
    columns: list[str],
    seed: int | None = None,
    rank: int = 0,
    ranks: int = 1,
) -> Iterator[Any]:
    """Read a part with Petastorm, each row group once.

    Args:
        cache: the prepared images.
        part: ``train``, ``validation`` or ``test``.
        columns: names of the columns to read.
        seed: shuffles the rank's row groups; None keeps the order of the cache.
        rank, ranks: which share of how many. Petastorm gives a rank the same row groups
            whatever the seed.

    Yields:
        A named tuple of arrays, one for each column.
    """
    # petastorm uses what pyarrow 14 deprecates, and warns of Parquet that is not its own
    logging.getLogger("petastorm").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="petastorm")
    from petastorm import make_batch_reader
    from petastorm.workers_pool import thread_pool

    thread_pool.IO_TIMEOUT_INTERVAL_S = IDLE_SECONDS
    url = cache.part_url(part)
    reader = make_batch_reader(
        url,
        filesystem=petastorm_filesystem(url),
        schema_fields=columns,
        reader_pool_type="thread",
        workers_count=1,  # one keeps the order, and with it the result
        shuffle_row_groups=seed is not None,
        seed=None if seed is None else seed + 1,  # petastorm takes 0 for no seed
        cur_shard=rank,
        shard_count=ranks,
        # Endless, and stopped by counting: petastorm 0.13.1's pool can take the last row
        # group, still on its way, for read, and end an epoch without it.
        num_epochs=None,
    )
    try:
        yield from islice(reader, len(range(rank, len(cache.group_rows[part]), ranks)))
    finally:
        reader.stop()
        reader.join()


def pixels_of(images: Iterable[bytes], cache: Cache) -> np.ndarray:
    """The pixels of images of a cache: ``uint8 [N, H, W, 3]``."""
    return np.frombuffer(b"".join(images), np.uint8).reshape(-1, *cache.input_size, 3)
