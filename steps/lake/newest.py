"""The newest version of a table, which is read without Spark if a plain reader may read it."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial

import pyarrow as pa
from pyarrow.dataset import Expression
from pyspark.sql import SparkSession

from steps.lake.delta_log import PLAIN_READER, DeltaLog, Snapshot
from steps.lake.schema import is_current
from steps.lake.table import Table
from steps.settings.profile import Profile

GetSpark = Callable[[], SparkSession]
"""Returns the session, and starts it if it does not run: it takes seconds."""


def read_newest(table: str, schema: pa.Schema, where: Expression) -> pa.Table:
    """Return columns of the newest version of a table; no rows if there is none.

    Args:
        table: folder or URI.
        schema, where: as for :meth:`DeltaLog.read_rows`.

    Raises:
        UserError: only Spark can read it.
    """
    log = DeltaLog(table)
    files = log.read_plain().files if log.versions else ()
    return log.read_rows(files, schema, where)


class Newest:
    """The version of a table that was the newest when this object was made.

    Args:
        table: which one.
        profile: names the lake.
        spark: reads a table that demands more of readers.
    """

    def __init__(self, table: Table, profile: Profile, spark: GetSpark):
        self._table, self._path, self._spark = table, table.path(profile), spark
        self._log = DeltaLog(self._path)

    @property
    def exists(self) -> bool:
        """Whether there is a table."""
        return bool(self._log.versions)

    @property
    def is_complete(self) -> bool:
        """Whether there is a table, with all its columns and the newest schema."""
        if not self.exists:
            return False
        has_columns = self._table.types.keys() <= self.snapshot.columns
        return has_columns and is_current(self.snapshot.properties)

    @cached_property
    def snapshot(self) -> Snapshot:
        """The version."""
        return self._log.read(self._log.versions[-1])

    @property
    def table_id(self) -> str:
        """Delta's ID of the table; one that was created again at the same path has another."""
        return str(self.snapshot.table_id)

    def rows(self, schema: pa.Schema, where: Expression, few: bool = False) -> pa.Table:
        """Return some of the rows.

        Args:
            schema: the columns, with all that the condition asks for.
            where: which rows.
            few: as for :meth:`~steps.lake.delta_log.DeltaLog.read_rows`.
        """
        snapshot = self.snapshot
        if snapshot.reader <= PLAIN_READER:
            return self._log.read_rows(snapshot.files, schema, where, few)
        read = self._spark().read.format("delta").option("versionAsOf", snapshot.version)
        frame = read.load(self._path).select(*schema.names)
        kept = frame.mapInArrow(partial(_filter, where=where), frame.schema)
        return kept.toArrow().cast(schema)


def _filter(batches: Iterable[pa.RecordBatch], where: Expression) -> Iterator[pa.RecordBatch]:
    """Leave out rows where they are, so that the driver gets no others."""
    for batch in batches:
        yield from pa.Table.from_batches([batch]).filter(where).to_batches()
