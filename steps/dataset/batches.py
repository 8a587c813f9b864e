"""Batches for a rank, read from the Petastorm cache."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.dataset.cache import Cache
from steps.dataset.cache_reader import read_row_groups

MIXED_GROUPS = 4
"""Row groups whose rows are shuffled together. It bounds the memory; epochs mix further."""

Inputs = tuple[NDArray[Any], NDArray[np.int32]]
"""What the network reads, as :meth:`Cache.stack` returns it, and each image's class."""


@dataclass(frozen=True)
class Batch:
    """Images and classes, padded to the batch size.

    Attributes:
        inputs: pixels ``uint8 [N, H, W, 3]``, or features ``float32 [N, features]``.
        classes: ``int32 [N]``.
        weights: ``float32 [N]``: 1, and 0 for rows that pad the last batch. They repeat real
            images, so that batch normalisation sees nothing foreign.
    """

    inputs: NDArray[Any]
    classes: NDArray[np.int32]
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class Shard:
    """The share of a split that one rank reads; all ranks together read all images in an epoch.

    Attributes:
        cache: the prepared images.
        split: ``train``, ``validation`` or ``test``.
        batch_size: images per batch and rank.
        rank, ranks: which shard of how many.
        passes: how often an epoch reads each image.
    """

    cache: Cache
    split: str
    batch_size: int
    rank: int = 0
    ranks: int = 1
    passes: int = 1

    def steps(self) -> int:
        """Return the batches per epoch: the same on all ranks, so that none waits."""
        groups = self.cache.group_rows[self.split]
        groups_per_rank = -(-len(groups) // self.ranks)
        most_rows = sum(sorted(groups, reverse=True)[:groups_per_rank])
        return -(-most_rows * self.passes // self.batch_size)

    def epoch(self, seed: int | None) -> Iterator[Batch]:
        """Yield the batches of one epoch.

        Args:
            seed: shuffles the rank's row groups and the rows within them; pass another one for
                each epoch. None keeps the order of the cache.
        """
        rng = None if seed is None else np.random.default_rng([seed, self.rank])
        groups = len(self.cache.group_rows[self.split])
        batches = self._rebatched(rng, seed, self.rank % groups)
        first = next(batches)
        count = 0
        if self.rank < groups:  # else it has no row group, and pads with another rank's
            for inputs, classes in chain([first], batches):
                yield self._padded(inputs, classes, first)
                count += 1
        for _ in range(count, self.steps()):  # this rank's groups were among the smaller ones
            yield self._padded(first[0][:0], first[1][:0], first)

    def _rebatched(
        self, rng: np.random.Generator | None, seed: int | None, rank: int
    ) -> Iterator[Inputs]:
        """Yield full batches, and what is left at the end; an image's bytes are copied once."""
        # Petastorm yields nothing if there are more ranks than row groups
        ranks = min(self.ranks, len(self.cache.group_rows[self.split]))
        column = self.cache.column
        columns = [column, "label"]
        shard = (seed, rank, ranks, self.passes)
        groups = read_row_groups(self.cache, self.split, columns, *shard)
        images, classes = np.empty(0, object), np.empty(0, np.int32)
        may_have_more = True
        while may_have_more:
            mixed = list(islice(groups, MIXED_GROUPS))
            may_have_more = len(mixed) == MIXED_GROUPS
            images = np.concatenate([images, *(getattr(group, column) for group in mixed)])
            classes = np.concatenate([classes, *(group.label for group in mixed)], dtype=np.int32)
            if rng is not None:
                order = rng.permutation(len(classes))
                images, classes = images[order], classes[order]
            end = len(classes) - len(classes) % self.batch_size
            for start in range(0, end, self.batch_size):
                chosen = slice(start, start + self.batch_size)
                yield self.cache.stack(images[chosen]), classes[chosen]
            images, classes = images[end:], classes[end:]
        if len(classes):
            yield self.cache.stack(images), classes

    def _padded(self, inputs: NDArray[Any], classes: NDArray[np.int32], filler: Inputs) -> Batch:
        missing = self.batch_size - len(classes)
        if missing:
            inputs = np.concatenate([inputs, np.resize(filler[0], (missing, *filler[0].shape[1:]))])
            classes = np.concatenate([classes, np.resize(filler[1], missing)])
        weights = np.ones(self.batch_size, np.float32)
        weights[self.batch_size - missing :] = 0
        return Batch(inputs, classes, weights)
