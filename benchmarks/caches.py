"""Caches of images for the benchmarks, as the steps lay them out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from edge.inference.prepare import prepare
from steps.dataset.cache import Cache
from steps.dataset.cache_plan import GROUPS

SIDE = 128


def write_caches(images: Path, home: Path, files: int) -> Cache:
    """The cache as the steps lay it out, and beside it Parquet of the JPEG bytes."""
    paths = sorted(images.glob("*.jpg"))
    chosen = [paths[n * len(paths) // files] for n in range(files)]
    groups = {}
    for part, share in (("train", chosen), ("validation", chosen[:: GROUPS // 2])):
        labels = np.array([int(path.stem[-1]) for path in share])
        pixels = np.stack([prepare(path, (SIDE, SIDE)) for path in share])
        groups[part] = write_part(home / "cache", part, pixels, labels)
    labels = np.array([int(path.stem[-1]) for path in chosen])
    for group in range(GROUPS):
        contents = [path.read_bytes() for path in chosen[group::GROUPS]]
        write_group(
            home / "jpeg", group, "content", pa.array(contents, pa.binary()), labels[group::GROUPS]
        )
    counts = {part: {"0": 1, "1": 1} for part in groups}
    return Cache(str(home / "cache"), ["0", "1"], (SIDE, SIDE), groups, counts)


def cache_of(cache: Cache, home: Path, times: int) -> Cache:
    """The same images so many times over, in as many more row groups."""
    folder = home / f"{times}x"
    if not folder.exists():
        _link(cache, home, folder, times)
    rows = {part: rows * times for part, rows in cache.group_rows.items()}
    return replace(cache, url=str(folder), group_rows=rows)


def _link(cache: Cache, home: Path, folder: Path, times: int) -> None:
    for part, rows in cache.group_rows.items():
        for number in range(times * len(rows)):
            place = folder / f"split={part}" / f"row_group={number}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(home / "cache" / f"split={part}" / f"row_group={number % len(rows)}")


def write_part(
    folder: Path, part: str, inputs: np.ndarray, labels: np.ndarray, column: str = "pixels"
) -> list[int]:
    """Write a part of a cache; returns the rows of each of its row groups."""
    rows = []
    groups = min(GROUPS, len(labels))
    for group in range(groups):
        of_group = slice(group, None, groups)
        inside = pa.array([row.tobytes() for row in inputs[of_group]], pa.binary())
        write_group(folder / f"split={part}", group, column, inside, labels[of_group])
        rows.append(len(inside))
    return rows


def write_group(folder: Path, group: int, name: str, values: pa.Array, labels: np.ndarray) -> None:
    """Write one row group: a file of its own with the values and their labels."""
    place = folder / f"row_group={group}"
    place.mkdir(parents=True)
    table = pa.table({name: values, "label": pa.array(labels, pa.int32())})
    pq.write_table(table, place / "x.parquet", compression="none")
