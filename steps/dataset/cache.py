"""The Petastorm cache: the prepared pixels of a selection, so that training decodes no image.

A cache is Parquet in a folder that is named by its content. ``manifest.json`` is written last and
names the complete attempt: without it there is no cache.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import fsspec
import numpy as np
from numpy.typing import NDArray

from edge.inference.prepare import PREPARE_VERSION
from steps.atomic import write_atomically
from steps.dataset.cache_eviction import mark_used
from steps.dataset.split import TRAIN
from steps.pipeline.outputs import Selection

LAYOUT = "5"
"""Changes with the layout of a cache, and with the rule of its split."""

FEW = 10
"""Images of a class below which a split says little of it."""


@dataclass(frozen=True)
class Cache:
    """A complete Petastorm cache.

    Attributes:
        url: the folder or URI of its Parquet files.
        labels: class names in the order of the network's output.
        input_size: (height, width) of the pixels.
        group_rows: rows of each row group, by split.
        counts: images by split and label; those of ``guard`` are left out of the cache.
        own_splits: the splits that the images bring themselves.
        mean: of each feature over the training split, if the rows are features for pixels.
        deviation: of each feature.
        fitted: the split that trains: ``train``, or ``rest`` (all but the test split) at last.
    """

    url: str
    labels: list[str]
    input_size: tuple[int, int]
    group_rows: dict[str, list[int]]
    counts: dict[str, dict[str, int]]
    own_splits: list[str] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    deviation: list[float] = field(default_factory=list)
    fitted: str = TRAIN

    @property
    def has_features(self) -> bool:
        """Whether the rows are a frozen network's features, not pixels."""
        return bool(self.mean)

    def has_few(self, split: str) -> bool:
        """Return whether a class has so few images of a split that they say little of it."""
        return min(self.counts[split].get(label, 0) for label in self.labels) < FEW

    @property
    def column(self) -> str:
        """The column that a network reads."""
        return "features" if self.has_features else "pixels"

    def stack(self, rows: Iterable[bytes]) -> NDArray[Any]:
        """Return rows of that column: ``uint8 [N, H, W, 3]``, or ``float32 [N, features]``."""
        if self.has_features:
            return np.frombuffer(b"".join(rows), np.float32).reshape(-1, len(self.mean))
        return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, *self.input_size, 3)

    def split_url(self, split: str) -> str:
        """Return the URL that Petastorm reads a split from."""
        place = f"{self.url}/split={split}"
        return place if "://" in place else f"file://{place}"

    def rows(self, split: str) -> int:
        """Return the number of images of a split."""
        return sum(self.group_rows[split])

    def mark_used(self) -> None:
        """Mark the cache as in use, so that no step evicts it; call this once an epoch."""
        mark_used(self.url.rpartition("/")[0])


def cache_name(selection: Selection) -> str:
    """Return a hash of all that decides which pixels are in the cache."""
    content = [selection.content(), PREPARE_VERSION, LAYOUT]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def read_manifest(folder: str) -> Cache | None:
    """Return the cache in a folder; None if none is complete."""
    filesystem, path = fsspec.core.url_to_fs(f"{folder}/manifest.json")
    if not filesystem.exists(path):
        return None
    fields = json.loads(filesystem.cat_file(path))
    return Cache(**{**fields, "input_size": tuple(fields["input_size"])})


def keep_first_cache(folder: str, cache: Cache) -> Cache:
    """Write the manifest of a cache that is complete, unless another step has filled it meanwhile.

    Returns:
        The cache of the folder. Of two attempts, the second is removed.
    """
    if first := read_manifest(folder):
        filesystem, path = fsspec.core.url_to_fs(cache.url)
        filesystem.rm(path, recursive=True)
        return first
    write_atomically(f"{folder}/manifest.json", json.dumps(asdict(cache), indent=2).encode())
    return cache
