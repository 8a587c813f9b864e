"""A small Petastorm cache: Spark's workers prepare its images, and the driver writes them.

What Spark plans and compiles to join, shuffle and write some hundreds of images takes longer than
preparing them. So the workers read the table's files themselves.
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from steps.dataset.prepared_rows import READ, prepare_rows
from steps.ingestion.tables import TIME
from steps.lake.delta_log import read_by_row_group
from steps.pipeline.outputs import Selection

MOST_BYTES = 256 * 2**20
"""Of pixels, which the driver holds twice while it sorts them."""

PLANNED = pa.schema(
    {name: pa.string() for name in ("path", "sha256", "device_id", "split")}
    | {"captured_at": TIME, "row_group": pa.int64(), "label": pa.int32()}
)

PLAIN = {"use_dictionary": False, "write_statistics": False}
"""How the files are encoded: Petastorm reads whole row groups, and statistics would hold pixels."""


def is_small(images: int, input_size: tuple[int, int]) -> bool:
    """Return whether so many prepared images fit into the driver's memory."""
    return images * 3 * math.prod(input_size) <= MOST_BYTES


def fill_small(
    spark: SparkSession,
    files: Sequence[str],
    rows: pd.DataFrame,
    selection: Selection,
    folder: str,
) -> None:
    """Prepare the images of a plan, and write each row group to a file of its own.

    Args:
        spark: whose workers read and prepare them.
        files: data files of the table, which a plain reader can read.
        rows: the plan, with ``PLANNED``.
        selection: names the table, and says how images are prepared.
        folder: or URI, below which the files stand as Spark would write them.
    """
    plan = pa.Table.from_pandas(rows, PLANNED, preserve_index=False)
    tasks = spark.sparkContext.defaultParallelism
    share = partial(_prepare_share, tasks, files, plan, selection)
    found = spark.sparkContext.parallelize(range(tasks), tasks).flatMap(share).collect()
    order = [(name, "ascending") for name in ("split", "row_group", "sha256")]
    images = pa.Table.from_batches(found).sort_by(order)
    start = 0
    for (split, number), same in groupby(_rows(images, "split", "row_group")):
        count = len(list(same))
        place = f"{folder}/split={split}/row_group={number}/images.parquet"
        group = images.slice(start, count).drop_columns(["split", "row_group"])
        with fsspec.open(place, "wb", auto_mkdir=True) as file:
            # with times as Spark writes them
            pq.write_table(group, file, count, use_deprecated_int96_timestamps=True, **PLAIN)
        start += count


def _prepare_share(
    shares: int, files: Sequence[str], plan: pa.Table, selection: Selection, share: int
) -> Iterator[pa.RecordBatch]:
    """Yield the prepared images of a share of the files' row groups."""
    places = {key: place for place, key in enumerate(_rows(plan, "path", "sha256"))}
    wanted = pc.field("sha256").isin(plan["sha256"])
    for found in read_by_row_group(selection.table, files, READ, wanted, share, shares):
        at = pa.array(map(places.get, _rows(found, "path", "sha256")), pa.int64())
        columns: dict[str, pa.ChunkedArray] = {}
        for table in (found.filter(at.is_valid()), plan.take(at.drop_null())):
            columns |= zip(table.column_names, table.columns, strict=True)
        yield from prepare_rows(pa.table(columns).to_batches(), selection)


def _rows(table: pa.Table, *columns: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in columns), strict=True)
