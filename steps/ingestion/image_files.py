"""Data files of ``images``, written by the workers that read the images.

An image's bytes go from its file into Parquet in one process, and never to the JVM and back. What
a worker hands on are Delta's ``add`` actions, which :mod:`steps.lake.transaction` commits; until
then no reader sees the files, and VACUUM deletes those of a task that died.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from steps.ingestion.rows import BYTES_A_BATCH, Rules, row_of
from steps.lake.data_file import DataFile, Layout

if TYPE_CHECKING:
    import pyarrow as pa

ADDED = "action STRING, images MAP<STRING, STRING>"
"""An action, and the sha256 of each image in its file by path."""

PARTITION = "date"

MOST_OPEN = 32
"""Files that a worker writes side by side, one a date."""

ROWS_AT_ONCE = 8
"""Images that Parquet encodes at once: by its usual 1024 rows it takes three times as long."""


def data_file_writer(rules: Rules, table: str) -> Callable:
    """The function for ``mapInArrow`` over rows of path, bytes and modified_at.

    It writes the images among the files into Parquet files below ``table``, a row group for
    each ``BYTES_A_BATCH``, and gives a row of ``ADDED`` for each file that it wrote. What belongs
    into quarantine is left out.
    """
    from pyspark.sql.pandas.types import to_arrow_schema
    from pyspark.sql.types import StructType

    layout = Layout.of("images", table)
    added = to_arrow_schema(StructType.fromDDL(ADDED))

    def written(batches: Iterator["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa

        folder = _Folder(layout)
        for batch in batches:
            for file in batch.to_pylist():
                row = row_of(file, rules)
                if "reason" not in row:
                    folder.add(row)
        yield pa.RecordBatch.from_pylist(folder.close(), schema=added)

    return written


class _Folder:
    """A table's folder, and the files that one task writes into it."""

    def __init__(self, layout: Layout):
        self._layout = layout
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        self._size = 0
        self._open: dict[str, _Images] = {}
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
                self._open[date] = _Images(self._layout, {PARTITION: date}, ROWS_AT_ONCE)
            self._open[date].write(rows)
        self._waiting, self._size = {}, 0

    def _end_files(self) -> None:
        self._added += [file.close() for file in self._open.values()]
        self._open = {}


class _Images(DataFile):
    """A data file of ``images``, and which images are in it."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self._hashes: dict[str, str] = {}

    def write(self, rows: list[dict[str, Any]]) -> None:
        super().write(rows)
        self._hashes |= {row["path"]: row["sha256"] for row in rows}

    def close(self) -> dict[str, Any]:
        return {"action": super().close()["action"], "images": list(self._hashes.items())}
