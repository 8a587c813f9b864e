"""A data file of a Delta table, written by a worker as Spark would write it.

The worker returns Delta's ``add`` action, which :mod:`steps.lake.transaction` commits. Until then
no reader sees the file, and VACUUM deletes the file of a task that died.
"""

import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any, NamedTuple

import fsspec
import pyarrow as pa
from pyarrow import parquet
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from steps.lake.tables import Table

ADD_ACTIONS = "action STRING, rows BIGINT"
"""The columns of a worker's answer, one row for each file that it wrote."""


class Layout(NamedTuple):
    """How the data files of a table are laid out; made on the driver, used by workers.

    Attributes:
        path: of the table, a folder or URI.
        schema: of a file, without the partition columns.
        indexed: columns whose bounds Delta keeps.
        long: columns that get neither dictionaries nor statistics.
    """

    path: str
    schema: pa.Schema
    indexed: list[str]
    long: tuple[str, ...]

    @classmethod
    def of(cls, table: Table, path: str) -> "Layout":
        """Return the layout of a table that stands at a folder or URI; needs a Spark session."""
        columns = StructType.fromDDL(table.columns)
        apart = table.partitioned_by
        indexed = columns.names[: table.indexed]
        return cls(
            path=path,
            schema=to_arrow_schema(StructType([c for c in columns if c.name not in apart])),
            indexed=[column for column in indexed if column not in apart],
            long=table.long,
        )


class DataFile:
    """A Parquet file that grows by row groups, and its statistics for Delta.

    Args:
        layout: of the table.
        partition: the value of each partition column, as Delta writes it.
        rows_at_once: rows that Parquet encodes together; few if rows are large.
    """

    def __init__(self, layout: Layout, partition: dict[str, str], rows_at_once: int = 1024):
        self._filesystem, root = fsspec.core.url_to_fs(layout.path)
        below = "".join(f"{column}={value}/" for column, value in partition.items())
        self._filesystem.makedirs(f"{root}/{below}", exist_ok=True)
        self._name = f"{below}part-{uuid.uuid4()}.parquet"
        self._path = f"{root}/{self._name}"
        self._schema, self._partition = layout.schema, partition
        self._rows = 0
        self._bounds: dict[str, list[tuple[Any, Any, int]]] = {
            column: [] for column in layout.indexed
        }
        short = [column for column in layout.schema.names if column not in layout.long]
        self._writer = parquet.ParquetWriter(
            self._path,
            layout.schema,
            filesystem=self._filesystem,
            compression="none",  # JPEG bytes do not compress
            use_dictionary=short,
            write_statistics=short,
            store_schema=False,
            write_batch_size=rows_at_once,
        )

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Add rows as a row group."""
        self._writer.write_table(pa.Table.from_pylist(rows, schema=self._schema))
        self._rows += len(rows)
        for column, bounds in self._bounds.items():
            if values := [row[column] for row in rows if row.get(column) is not None]:
                bounds.append((min(values), max(values), len(values)))

    def close(self) -> dict[str, Any]:
        """End the file and return its row of ``ADD_ACTIONS``."""
        self._writer.close()
        add = {
            "path": self._name,
            "partitionValues": self._partition,
            "size": self._filesystem.size(self._path),
            "modificationTime": round(time.time() * 1000),
            "dataChange": True,
            "stats": json.dumps(self._stats(), default=_as_delta_writes),
        }
        return {"action": json.dumps({"add": add}), "rows": self._rows}

    def _stats(self) -> dict[str, Any]:
        """Return the bounds by which Delta skips files that a query does not need."""
        lowest, highest, nulls = {}, {}, {}
        for column, bounds in self._bounds.items():
            nulls[column] = self._rows - sum(count for _, _, count in bounds)
            if bounds:
                lowest[column] = min(low for low, _, _ in bounds)
                highest[column] = max(high for _, high, _ in bounds)
        return {
            "numRecords": self._rows,
            "minValues": lowest,
            "maxValues": highest,
            "nullCount": nulls,
        }


def to_record_batch(files: list[dict[str, Any]]) -> pa.RecordBatch:
    """Return rows of ``ADD_ACTIONS`` as a worker yields them."""
    schema = pa.schema([("action", pa.string()), ("rows", pa.int64())])
    return pa.RecordBatch.from_pylist(files, schema=schema)


def _as_delta_writes(time_: datetime) -> str:
    # rounded down to milliseconds: Delta's readers add one to the maximum
    return time_.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
