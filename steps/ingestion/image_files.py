"""Data files of ``images``, written by the workers that read the images.

An image's bytes go from its file into Parquet in one process, and never to the JVM and back.
:mod:`steps.lake.data_file` says how the files become part of the table.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from steps.ingestion.rows import BYTES_PER_BATCH, ArrowFunction, Rules, build_row
from steps.ingestion.tables import IMAGES
from steps.lake.data_file import DataFile, Layout

if TYPE_CHECKING:
    import pyarrow as pa

ADD_ACTIONS = "action STRING, images MAP<STRING, STRING>"
"""An ``add`` action, and the sha256 by path of the images in its file."""

PARTITION = "date"

MAX_OPEN_FILES = 32
"""Files that a worker writes at the same time, one for each date."""

ROWS_AT_ONCE = 8
"""Images that Parquet encodes together: its default of 1024 takes three times as long."""


def make_file_writer(rules: Rules, table: str) -> ArrowFunction:
    """Return the function for ``mapInArrow`` over rows of path, bytes and modified_at.

    It writes the images among the files into Parquet files below ``table``, a row group for
    each ``BYTES_PER_BATCH``, and yields a row of ``ADD_ACTIONS`` for each file that it wrote. It
    skips what belongs into quarantine.
    """
    from pyspark.sql.pandas.types import to_arrow_schema
    from pyspark.sql.types import StructType

    layout = Layout.of(IMAGES, table)
    schema = to_arrow_schema(StructType.fromDDL(ADD_ACTIONS))

    def write(batches: Iterator["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa

        folder = _TableFolder(layout)
        for batch in batches:
            for file in batch.to_pylist():
                row = build_row(file, rules)
                if "reason" not in row:
                    folder.add(row)
        yield pa.RecordBatch.from_pylist(folder.close(), schema=schema)

    return write


class _TableFolder:
    """A table's folder into which one task writes files."""

    def __init__(self, layout: Layout):
        self._layout = layout
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        self._size = 0
        self._open: dict[str, _Images] = {}
        self._added: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        self._waiting.setdefault(row[PARTITION].isoformat(), []).append(row)
        self._size += len(row["content"])
        if self._size >= BYTES_PER_BATCH:
            self._write()

    def close(self) -> list[dict[str, Any]]:
        """End all files and return their rows of ``ADD_ACTIONS``."""
        self._write()
        self._end_files()
        return self._added

    def _write(self) -> None:
        for date, rows in self._waiting.items():
            if date not in self._open:
                if len(self._open) == MAX_OPEN_FILES:
                    self._end_files()
                self._open[date] = _Images(self._layout, {PARTITION: date}, ROWS_AT_ONCE)
            self._open[date].write(rows)
        self._waiting, self._size = {}, 0

    def _end_files(self) -> None:
        self._added += [file.close() for file in self._open.values()]
        self._open = {}


class _Images(DataFile):
    """A data file of ``images`` that keeps the hashes of its images."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self._hashes: dict[str, str] = {}

    def write(self, rows: list[dict[str, Any]]) -> None:
        super().write(rows)
        self._hashes |= {row["path"]: row["sha256"] for row in rows}

    def close(self) -> dict[str, Any]:
        return {"action": super().close()["action"], "images": list(self._hashes.items())}
