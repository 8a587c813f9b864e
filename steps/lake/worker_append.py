"""Rows that workers append to a Delta table, in data files that they write as Spark would.

A row's bytes, such as an image, then go into Parquet in the process that made them, and never to
the JVM and back, whose own way to write takes seconds until it is warm. The workers return Delta's
``add`` actions, which :mod:`steps.lake.transaction` commits. Until then no reader sees the files,
and VACUUM deletes those of a task that died.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

import fsspec
import pyarrow as pa
from pyarrow import parquet
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from steps.lake.creation import parse_columns
from steps.lake.table import Table
from steps.lake.transaction import Append, append_rows

WRITTEN = "actions ARRAY<STRING>, rows BIGINT, keys ARRAY<ARRAY<STRING>>"
"""What a task wrote: an action for each file, the number of rows, and some columns of each."""

MAX_OPEN_FILES = 32
"""Files that a worker writes at the same time, one for each partition of the table."""

MakeRows = Callable[[Iterator[pa.RecordBatch]], Iterator[list[dict[str, Any]]]]
"""What a worker makes of the batches of a Spark partition: rows, as many as memory should hold."""

WriteBatches = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""What writes batches; see :func:`write_files`."""


class LocalRows(NamedTuple):
    """Rows in the driver's memory to append, without SQL, which takes seconds to start.

    Attributes:
        spark: the session.
        rows: each a named tuple.
        columns: of the rows, as Spark's DDL.
    """

    spark: SparkSession
    rows: Sequence[Any]
    columns: str

    @property
    def frame(self) -> DataFrame:
        """The rows as Spark has them."""
        return self.spark.createDataFrame(self.rows, self.columns)

    def collect(self, write: WriteBatches) -> list[dict[str, Any]]:
        """Return what the workers yield of their shares of the rows."""
        shares = self.spark.sparkContext.parallelize(self.rows)
        return list(shares.mapPartitions(partial(_write_share, write=write)).collect())


class Appended(NamedTuple):
    """An append: the table's new version, and the values of the keys of each row."""

    version: int
    keys: list[list[str]]


def append_by_workers(
    source: DataFrame | LocalRows,
    make_rows: MakeRows,
    table: Table,
    path: str,
    name: str,
    keys: tuple[str, ...] = (),
) -> Appended | None:
    """Append the rows that workers make of others; if Delta allows it, in files of their own.

    Args:
        source: what the workers get.
        make_rows: makes rows of the table, each list of which becomes a row group.
        table: says how its files are laid out.
        path: the table's folder or URI.
        name: of the transaction, which commits once; if empty, each call appends.
        keys: columns whose values are returned.

    Returns:
        None if the rows are not known: Spark wrote them, or the table has the transaction already.
    """
    spark = source.spark if isinstance(source, LocalRows) else source.sparkSession
    append = Append(spark, path, name)
    columns = parse_columns(table.columns)
    if not append.is_supported:
        to_spark = partial(to_batches, make_rows=make_rows, schema=to_arrow_schema(columns))
        frame = source.frame if isinstance(source, LocalRows) else source
        append_rows(frame.mapInArrow(to_spark, table.columns), path, name)
        return None
    if append.is_done():
        return None
    in_files = [column for column in columns if column.name not in table.partitioned_by]
    schema = to_arrow_schema(StructType(in_files))
    layout = {"table": table, "path": path, "schema": schema, "keys": keys}
    write = partial(write_files, make_rows=make_rows, **layout)
    if isinstance(source, LocalRows):
        tasks = source.collect(write)
    else:
        tasks = source.mapInArrow(write, WRITTEN).collect()
    actions = [action for task in tasks for action in task["actions"]]
    if not actions and not name:
        return None
    version = append.commit(actions, sum(task["rows"] for task in tasks))
    return Appended(version, [row for task in tasks for row in task["keys"]])


def _write_share(rows: Iterator[Any], write: WriteBatches) -> Iterator[dict[str, Any]]:
    batch = pa.RecordBatch.from_pylist([row._asdict() for row in rows])
    for written in write(iter([batch])):
        yield from written.to_pylist()


def to_batches(
    batches: Iterator[pa.RecordBatch], make_rows: MakeRows, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Yield the rows that are made of batches to Spark, each list as a batch."""
    for rows in make_rows(batches):
        yield pa.RecordBatch.from_pylist(rows, schema=schema)


def write_files(
    batches: Iterator[pa.RecordBatch],
    make_rows: MakeRows,
    table: Table,
    path: str,
    schema: pa.Schema,
    keys: tuple[str, ...],
) -> Iterator[pa.RecordBatch]:
    """Write the rows that are made of batches into data files; yield a row of ``WRITTEN``.

    Args:
        batches: of a task.
        make_rows: makes rows of them; a row group for each list and partition.
        table: says how its files are laid out.
        path: the table's folder or URI.
        schema: of a file, without the partition columns.
        keys: columns whose values are returned.
    """
    files: dict[tuple[str, ...], DataFile] = {}
    actions: list[str] = []
    found: list[list[str]] = []
    count = 0

    def close_files() -> None:
        actions.extend(file.close() for file in files.values())
        files.clear()

    def partition_of(row: dict[str, Any]) -> tuple[str, ...]:
        return tuple(str(row[column]) for column in table.partitioned_by)

    for rows in make_rows(batches):
        for partition, group in groupby(sorted(rows, key=partition_of), partition_of):
            if partition not in files:
                if len(files) == MAX_OPEN_FILES:
                    close_files()
                files[partition] = DataFile(table, path, schema, partition)
            files[partition].write(list(group))
        count += len(rows)
        found += [[row[key] for key in keys] for row in rows if keys]
    close_files()
    yield pa.RecordBatch.from_pydict(
        {
            "actions": pa.array([actions], pa.list_(pa.string())),
            "rows": [count],
            "keys": pa.array([found], pa.list_(pa.list_(pa.string()))),
        }
    )


class DataFile:
    """A Parquet file that grows by row groups.

    Args:
        table: whose file it is.
        path: the table's folder or URI.
        schema: of the file, without the partition columns.
        partition: the value of each partition column, as Delta writes it.
    """

    def __init__(self, table: Table, path: str, schema: pa.Schema, partition: tuple[str, ...]):
        self._filesystem, root = fsspec.core.url_to_fs(path)
        self._partition = dict(zip(table.partitioned_by, partition, strict=True))
        below = "".join(f"{column}={value}/" for column, value in self._partition.items())
        self._filesystem.makedirs(f"{root}/{below}", exist_ok=True)
        self._name = f"{below}part-{uuid.uuid4()}.parquet"
        self._path = f"{root}/{self._name}"
        short = [column for column in schema.names if column not in table.long]
        self._indexed = short[: table.indexed - len(partition)]
        self._metadata: list[parquet.FileMetaData] = []
        self._writer = parquet.ParquetWriter(
            self._path,
            schema,
            filesystem=self._filesystem,
            compression="none",  # JPEG bytes do not compress
            use_dictionary=short,
            write_statistics=short,
            store_schema=False,
            write_batch_size=table.rows_at_once,
            metadata_collector=self._metadata,
        )

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Add rows as a row group."""
        self._writer.write_table(pa.Table.from_pylist(rows, schema=self._writer.schema))

    def close(self) -> str:
        """End the file and return its ``add`` action."""
        self._writer.close()
        add = {
            "path": self._name,
            "partitionValues": self._partition,
            "size": self._filesystem.size(self._path),
            "modificationTime": round(time.time() * 1000),
            "dataChange": True,
            "stats": json.dumps(self._stats(), default=_as_delta_writes),
        }
        return json.dumps({"add": add})

    def _stats(self) -> dict[str, Any]:
        """Return the bounds by which Delta skips files that a query does not need."""
        (file,) = self._metadata
        groups = [file.row_group(number) for number in range(file.num_row_groups)]
        lowest, highest, nulls = {}, {}, {}
        for number, column in enumerate(self._indexed):
            of_groups = [group.column(number).statistics for group in groups]
            nulls[column] = sum(one.null_count for one in of_groups)
            valued = [one for one in of_groups if one.num_values]
            if valued and all(one.has_min_max for one in valued):  # very long texts have none
                lowest[column] = min(one.min for one in valued)
                highest[column] = max(one.max for one in valued)
        return {
            "numRecords": file.num_rows,
            "minValues": lowest,
            "maxValues": highest,
            "nullCount": nulls,
        }


def _as_delta_writes(time_: datetime) -> str:
    # rounded down to milliseconds: Delta's readers add one to the maximum
    return time_.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
