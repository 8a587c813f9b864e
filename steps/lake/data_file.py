"""A data file of a Delta table, written by a worker: what Spark would write, and would note of it.

The worker hands on Delta's ``add`` action, which :mod:`steps.lake.transaction` commits; until then
no reader sees the file, and VACUUM deletes that of a task that died.
"""

import json
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import fsspec

from steps.ingestion.landing import for_fsspec

if TYPE_CHECKING:
    import pyarrow as pa

ADDED = "action STRING, rows BIGINT"
"""What a worker gives for each file that it wrote."""


class Layout(NamedTuple):
    """How the data files of a table are made; found on the driver, used by workers.

    Attributes:
        table: folder or URI.
        schema: of a file, which has no partition columns.
        indexed: columns whose bounds Delta notes.
        long: columns that get neither dictionary nor statistics.
    """

    table: str
    schema: "pa.Schema"
    indexed: list[str]
    long: tuple[str, ...]

    @classmethod
    def of(cls, name: str, table: str) -> "Layout":
        """That of one of the tables, by its name and its place; needs a Spark session."""
        from pyspark.sql.pandas.types import to_arrow_schema
        from pyspark.sql.types import StructType

        from steps.lake.tables import COLUMNS, INDEXED_COLUMNS, LONG, PARTITIONED_BY

        columns = StructType.fromDDL(COLUMNS[name])
        apart = PARTITIONED_BY.get(name, [])
        indexed = columns.names[: INDEXED_COLUMNS[name]]
        return cls(
            table=table,
            schema=to_arrow_schema(StructType([c for c in columns if c.name not in apart])),
            indexed=[column for column in indexed if column not in apart],
            long=LONG[name],
        )


class DataFile:
    """A Parquet file that grows by row groups, and what Delta notes of it.

    Args:
        layout: of the table.
        partition: the value of each partition column, as Delta writes it.
        rows_at_once: that Parquet encodes; the fewer, the larger a row is.
    """

    def __init__(self, layout: Layout, partition: dict[str, str], rows_at_once: int = 1024):
        from pyarrow import parquet

        self._filesystem, root = fsspec.core.url_to_fs(for_fsspec(layout.table))
        below = "".join(f"{column}={value}/" for column, value in partition.items())
        self._filesystem.makedirs(f"{root}/{below}", exist_ok=True)
        self._name = f"{below}part-{uuid.uuid4()}.parquet"
        self._path = f"{root}/{self._name}"
        self._schema, self._partition = layout.schema, partition
        self._rows = 0
        self._bounds: dict[str, list] = {column: [] for column in layout.indexed}
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
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(rows, schema=self._schema))
        self._rows += len(rows)
        for column, bounds in self._bounds.items():
            if known := [row[column] for row in rows if row.get(column) is not None]:
                bounds.append((min(known), max(known), len(known)))

    def close(self) -> dict[str, Any]:
        """End the file; returns its row of ``ADDED``."""
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
        """The bounds by which Delta leaves out files that a query does not need."""
        lowest, highest, nulls = {}, {}, {}
        for column, bounds in self._bounds.items():
            nulls[column] = self._rows - sum(known for _, _, known in bounds)
            if bounds:
                lowest[column] = min(low for low, _, _ in bounds)
                highest[column] = max(high for _, high, _ in bounds)
        return {
            "numRecords": self._rows,
            "minValues": lowest,
            "maxValues": highest,
            "nullCount": nulls,
        }


def added(files: list[dict[str, Any]]) -> "pa.RecordBatch":
    """Rows of ``ADDED`` as a worker hands them on."""
    import pyarrow as pa

    schema = pa.schema([("action", pa.string()), ("rows", pa.int64())])
    return pa.RecordBatch.from_pylist(files, schema=schema)


def _as_delta_writes(time_: datetime) -> str:
    # to the millisecond and downwards: its readers add one to what is the highest
    return time_.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
