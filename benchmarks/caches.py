"""Caches of pictures for the benchmarks, as the steps lay them out."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from steps.training.cache import GROUPS


def write_part(folder: Path, part: str, pixels: np.ndarray, labels: np.ndarray) -> list[int]:
    """Write a part of a cache; returns the rows of each of its row groups."""
    rows = []
    for group in range(GROUPS):
        of_group = slice(group, None, GROUPS)
        inside = pa.array([picture.tobytes() for picture in pixels[of_group]], pa.binary())
        write_group(folder / f"part={part}", group, "pixels", inside, labels[of_group])
        rows.append(len(inside))
    return rows


def write_group(folder: Path, group: int, name: str, values: pa.Array, labels: np.ndarray) -> None:
    """Write one row group: a file of its own with the values and their labels."""
    place = folder / f"row_group={group}"
    place.mkdir(parents=True)
    table = pa.table({name: values, "label": pa.array(labels, pa.int32())})
    pq.write_table(table, place / "x.parquet", compression="none")
