"""Data files of ``images``, written by the workers that read the pictures.

A picture's bytes go from its file into Parquet in one process, and never to the JVM and back. What
a worker hands on are Delta's ``add`` actions, which :mod:`steps.lake.transaction` commits; until
then no reader sees the files, and VACUUM deletes those of a task that died.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import fsspec

from steps.lake.landing import for_fsspec
from steps.lake.rows import BYTES_A_BATCH, Rules, row_of
from steps.lake.tables import COLUMNS, INDEXED_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

ADDED = "action STRING, pictures MAP<STRING, STRING>"
"""An action, and the sha256 of each picture in its file by path."""

PARTITION = "date"

MOST_OPEN = 32
"""Files that a worker writes side by side, one a date."""

LONG = ("statistics", "histogram", "exif", "content")


def data_file_writer(rules: Rules, table: str) -> Callable:
    """The function for ``mapInArrow`` over rows of path, bytes and modified_at.

    It writes the pictures among the files into Parquet files below ``table``, a row group for
    each ``BYTES_A_BATCH``, and gives a row of ``ADDED`` for each file that it wrote. What belongs
    into quarantine is left out.
    """
    from pyspark.sql.pandas.types import to_arrow_schema
    from pyspark.sql.types import StructType

    columns = StructType.fromDDL(COLUMNS["images"])
    indexed = columns.names[: INDEXED_COLUMNS["images"]]
    schema = to_arrow_schema(StructType([c for c in columns if c.name != PARTITION]))
    added = to_arrow_schema(StructType.fromDDL(ADDED))
    indexed = [name for name in indexed if name != PARTITION]

    def written(batches: Iterator["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa

        folder = _Folder(table, schema, indexed)
        for batch in batches:
            for file in batch.to_pylist():
                row = row_of(file, rules)
                if "reason" not in row:
                    folder.add(row)
        yield pa.RecordBatch.from_pylist(folder.close(), schema=added)

    return written


class _Folder:
    """A table's folder, and the files that one task writes into it."""

    def __init__(self, table: str, schema: "pa.Schema", indexed: list[str]):
        self.filesystem, self.root = fsspec.core.url_to_fs(for_fsspec(table))
        self.schema, self.indexed = schema, indexed
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        self._size = 0
        self._open: dict[str, _DataFile] = {}
        self._added: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        self._waiting.setdefault(row[PARTITION].isoformat(), []).append(row)
        self._size += len(row["content"])
        if self._size >= BYTES_A_BATCH:
            self._write()

    def close(self) -> list[dict[str, Any]]:
        """End all files; returns what was added."""
        self._write()
        self._end_files()
        return self._added

    def _write(self) -> None:
        for date, rows in self._waiting.items():
            if date not in self._open:
                if len(self._open) == MOST_OPEN:
                    self._end_files()
                self._open[date] = self._new_file(date)
            self._open[date].write(rows)
        self._waiting, self._size = {}, 0

    def _new_file(self, date: str) -> "_DataFile":
        below = f"{PARTITION}={date}"
        self.filesystem.makedirs(f"{self.root}/{below}", exist_ok=True)
        name = f"{below}/part-{uuid.uuid4()}.parquet"
        return _DataFile(self, name, {PARTITION: date})

    def _end_files(self) -> None:
        self._added += [file.close() for file in self._open.values()]
        self._open = {}


class _DataFile:
    """A Parquet file that grows by row groups, and what Delta notes of it."""

    def __init__(self, folder: _Folder, name: str, partition: dict[str, str]):
        from pyarrow import parquet

        short = [column for column in folder.schema.names if column not in LONG]
        self._folder, self._name, self._partition = folder, name, partition
        self._rows = 0
        self._pictures: dict[str, str] = {}
        self._bounds: dict[str, list] = {column: [] for column in folder.indexed}
        self._writer = parquet.ParquetWriter(
            f"{folder.root}/{name}",
            folder.schema,
            filesystem=folder.filesystem,
            compression="none",  # JPEG bytes do not compress
            use_dictionary=short,
            write_statistics=short,
            store_schema=False,
            # of whole pictures: by the usual 1024 rows it takes three times as long
            write_batch_size=8,
        )

    def write(self, rows: list[dict[str, Any]]) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(rows, schema=self._folder.schema))
        self._rows += len(rows)
        self._pictures |= {row["path"]: row["sha256"] for row in rows}
        for column, bounds in self._bounds.items():
            if known := [row[column] for row in rows if row.get(column) is not None]:
                bounds.append((min(known), max(known), len(known)))

    def close(self) -> dict[str, Any]:
        """End the file; returns its row of ``ADDED``."""
        self._writer.close()
        add = {
            "path": self._name,
            "partitionValues": self._partition,
            "size": self._folder.filesystem.size(f"{self._folder.root}/{self._name}"),
            "modificationTime": round(time.time() * 1000),
            "dataChange": True,
            "stats": json.dumps(self._stats(), default=_as_delta_writes),
        }
        return {"action": json.dumps({"add": add}), "pictures": list(self._pictures.items())}

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


def _as_delta_writes(time_: datetime) -> str:
    # to the millisecond and downwards: its readers add one to what is the highest
    return time_.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
