"""What is read of the Petastorm cache: its row groups, or the pixels of some images."""

import warnings
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.dataset.cache import Cache
from steps.terminal import hide_hints

POLL_SECONDS = 0.02
"""How often Petastorm's idle thread checks whether it has to stop. Its own default, a millisecond,
takes a share of the core that trains, throughout a step."""

SCHEDULING_SECONDS = 0.002
"""How long Petastorm waits to schedule more row groups once four are on their way. While it waits
for its own default of ten milliseconds, four small groups are used up, and its consumer spins on
an empty queue: an epoch's input took twice as long."""


def read_row_groups(
    cache: Cache,
    split: str,
    columns: list[str],
    seed: int | None = None,
    rank: int = 0,
    ranks: int = 1,
    passes: int = 1,
) -> Iterator[Any]:
    """Read each row group of a split, with Petastorm.

    Args:
        cache: the prepared images.
        split: ``train``, ``validation`` or ``test``.
        columns: names of the columns to read.
        seed: shuffles the rank's row groups; None keeps the order of the cache.
        rank, ranks: which shard of how many. Petastorm gives a rank the same row groups
            whatever the seed.
        passes: how often each is read.

    Yields:
        A named tuple of arrays, one for each column.
    """
    hide_hints()
    from petastorm import make_batch_reader
    from petastorm.workers_pool import thread_pool

    thread_pool.IO_TIMEOUT_INTERVAL_S = POLL_SECONDS
    url = cache.split_url(split)
    reader = make_batch_reader(
        url,
        filesystem=_petastorm_filesystem(url),
        schema_fields=columns,
        reader_pool_type="thread",
        workers_count=1,  # one keeps the order, and with it the result
        shuffle_row_groups=seed is not None,
        seed=None if seed is None else seed + 1,  # 0 is no seed to Petastorm
        cur_shard=rank,
        shard_count=ranks,
        # Endless, and stopped by counting: the pool of Petastorm 0.13.1 can end an epoch while
        # the last row group is still on its way.
        num_epochs=None,
    )
    reader.ventilator._ventilation_interval = SCHEDULING_SECONDS
    try:
        groups = len(range(rank, len(cache.group_rows[split]), ranks))
        for group in islice(reader, passes * groups):
            yield _without_none(group) if "device_id" in columns else group
    finally:
        reader.stop()
        reader.join()


def _without_none(group: Any) -> Any:
    """Return a row group with None for a missing device, of which Petastorm makes a text."""
    devices = group.device_id.astype(object)
    devices[devices == "None"] = None
    return group._replace(device_id=devices)


def _petastorm_filesystem(url: str) -> Any:
    """Return the file system that Petastorm reads a URL with; None: it finds its own.

    Petastorm 0.13.1 reads through Arrow's legacy dataset API, but passes fsspec's file systems,
    such as S3's, in a form that Arrow takes for the new API, which rejects Petastorm's arguments.
    """
    if url.startswith("file:"):
        return None
    import fsspec

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of the legacy API itself
        from pyarrow.filesystem import DaskFileSystem

        class Legacy(DaskFileSystem):  # type: ignore[misc]  # pyarrow has no types
            def isdir(self, path: str) -> bool:
                return bool(self.fs.isdir(path))

            def isfile(self, path: str) -> bool:
                return bool(self.fs.isfile(path))

        return Legacy(fsspec.core.url_to_fs(url)[0])


def read_pixels(cache: Cache, split: str, sha256: Collection[str]) -> dict[str, NDArray[np.uint8]]:
    """Return the prepared pixels ``uint8 [H, W, 3]`` of some of a split's images, by SHA-256."""
    found: dict[str, NDArray[np.uint8]] = {}
    for group in read_row_groups(cache, split, ["pixels", "sha256"]):
        for digest, pixels in zip(group.sha256, cache.stack(group.pixels), strict=True):
            if digest in sha256:
                found[digest] = pixels
    return found
