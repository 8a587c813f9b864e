"""The Petastorm cache: the prepared pixels of a selection, so that training decodes nothing.

A cache is Parquet under a content-named folder. ``manifest.json`` is written last and names the
finished attempt: without it there is no cache.
"""

import hashlib
import json
from dataclasses import asdict, dataclass

import fsspec

from edge.inference.scoring import PREPARE_VERSION
from steps.atomic import write_atomically
from steps.dataset.cache_eviction import mark_used
from steps.pipeline.outputs import Selection

LAYOUT = "1"
"""Changes whenever a cache is laid out otherwise."""


@dataclass(frozen=True)
class Cache:
    """A finished cache.

    Attributes:
        url: the folder or URI of its Parquet files.
        labels: class names in the order of the network's output.
        input_size: (height, width) of the pixels.
        group_rows: rows of each row group, by part.
        counts: images by part and label; ``guard`` are those left out.
    """

    url: str
    labels: list[str]
    input_size: tuple[int, int]
    group_rows: dict[str, list[int]]
    counts: dict[str, dict[str, int]]

    def part_url(self, part: str) -> str:
        """The URL that Petastorm reads a part from."""
        place = f"{self.url}/part={part}"
        return place if "://" in place else f"file://{place}"

    def rows(self, part: str) -> int:
        """The number of images in a part."""
        return sum(self.group_rows[part])

    def mark_used(self) -> None:
        """Note that it is in use now, so that nobody removes it; to be said again each epoch."""
        mark_used(self.url.rpartition("/")[0])


def cache_name(selection: Selection) -> str:
    """The content name: a hash over all that decides which pixels are in the cache."""
    content = [selection.model_dump(mode="json"), PREPARE_VERSION, LAYOUT]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def read_manifest(folder: str) -> Cache | None:
    """The cache that a folder holds; None where none is finished."""
    filesystem, path = fsspec.core.url_to_fs(f"{folder}/manifest.json")
    if not filesystem.exists(path):
        return None
    fields = json.loads(filesystem.cat_file(path))
    return Cache(**{**fields, "input_size": tuple(fields["input_size"])})


def write_manifest(folder: str, cache: Cache) -> None:
    """Make an attempt that is whole the cache of a folder."""
    content = json.dumps(asdict(cache), indent=2).encode()
    write_atomically(f"{folder}/manifest.json", content)
