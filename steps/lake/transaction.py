"""Idempotent appends to a Delta table, of rows and of data files.

Spark's public interface writes rows. To commit files that workers have written, the interface
below uses the open-source Delta Lake whose version ``conda.yaml`` pins.
"""

import json
import random
import re
import time
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import TypeVar, cast

from py4j.java_gateway import JavaClass
from pyspark.sql import DataFrame, SparkSession

from steps.lake.delta_log import DeltaLog, Snapshot

ONCE = 1
"""The only version of a transaction, so that each name commits once."""

PAUSES = (0.1, 0.2, 0.5, 1, 2, 4, 8, 15, 15)
"""Seconds between two attempts of a write that lost against another one."""

CONFLICT = re.compile(
    r"Concurrent\w+Exception|(Metadata|Protocol)ChangedException|DELTA_(CONCURRENT|METADATA_CHANGED"
    r"|PROTOCOL_CHANGED|SCHEMA_CHANGE)"
    r"|FIELDS?_ALREADY_EXISTS|DUPLICATE_COLUMNS"  # a column that two add
)

T = TypeVar("T")

PLAIN_WRITER = 2
"""The last protocol version in which a writer only has to add files."""


def append_rows(rows: DataFrame, table: str, name: str) -> None:
    """Append rows with Spark.

    Args:
        rows: of the table's columns; others are left out.
        table: folder or URI.
        name: of the transaction, which commits once; if empty, each call appends.
    """
    known = rows.sparkSession.read.format("delta").load(table).columns
    rows = rows.select(*(column for column in rows.columns if column in known))
    writer = rows.write.format("delta").mode("append")
    if name:
        writer = writer.option("txnAppId", name).option("txnVersion", ONCE)
    retry_conflicts(lambda: writer.save(table))


def retry_conflicts(write: Callable[[], T]) -> T:
    """Repeat a write that lost against another run's, such as a compaction, until it wins.

    The write has to read the table again, and to do nothing twice: as a merge by keys does.
    """
    for pause in PAUSES:
        try:
            return write()
        except Exception as error:  # delta-spark raises Py4J's error
            if not CONFLICT.search(str(error)):
                raise
        time.sleep(pause * random.uniform(1, 2))  # noqa: S311 – so that two do not meet again
    return write()


class _Committed:
    """The names under which a table has rows. Each commit of its log is read once."""

    def __init__(self, table: str):
        self._table, self._lock = table, Lock()
        self._newest: Snapshot | None = None

    def names(self, version: int) -> set[str]:
        """Return those of a version, and of later ones that were read already."""
        with self._lock:
            if self._newest is None or self._newest.version < version:
                self._newest = DeltaLog(self._table).read(version, self._newest)
            return self._newest.transactions


@cache
def _committed(table: str, table_id: str) -> _Committed:
    return _Committed(table)  # a table that was created again has another ID


class Append:
    """An append of data files to a table.

    Args:
        spark: the session.
        table: folder or URI.
        name: of the transaction, which commits once; if empty, each call appends.

    Example::

        append = Append(spark, "/lake/images", "chunk 7")
        if append.is_supported and not append.is_done():
            append.commit(actions, rows)
    """

    def __init__(self, spark: SparkSession, table: str, name: str):
        self._spark, self._table, self._name = spark, table, name
        self._delta = spark._jvm.org.apache.spark.sql.delta
        self.is_supported = isinstance(self._delta.DeltaLog, JavaClass)
        """False on a Delta that is not the open one, and for a table that demands more of writers,
        such as constraints or mapped columns. Then Spark has to write."""
        if self.is_supported:
            # of this thread, as each call of Spark's Python does: Delta asks for it to read a
            # checkpoint without a checksum, which another writer has not yet written
            spark._jvm.SparkSession.setActiveSession(spark._jsparkSession)
            self._log = self._delta.DeltaLog.forTable(spark._jsparkSession, table)
            self._transaction = self._log.startTransaction()
            self.is_supported = self._transaction.protocol().minWriterVersion() <= PLAIN_WRITER

    def is_done(self) -> bool:
        """Return whether the table has this transaction already."""
        if not self._name:
            return False
        # what Delta's own txnVersion does, which finds it by a query: of two transactions that
        # have read a name, one commits it
        self._transaction.readTxn().addOne(self._name)
        committed = _committed(self._table, self._transaction.metadata().id())
        return self._name in committed.names(self._transaction.readVersion())

    def commit(self, actions: list[str], rows: int) -> int:
        """Make the files readable, all or none.

        Args:
            actions: Delta's ``add`` actions as JSON.
            rows: number of rows in all files.

        Returns:
            the new version of the table.
        """
        return retry_conflicts(lambda: self._commit(actions, rows))

    def _commit(self, actions: list[str], rows: int) -> int:
        self._transaction = self._log.startTransaction()  # on what others wrote meanwhile
        if self.is_done():
            return cast(int, self._transaction.readVersion())
        jvm = self._spark._jvm
        size = sum(json.loads(action)["add"]["size"] for action in actions)
        self._set_metrics(numFiles=len(actions), numOutputRows=rows, numOutputBytes=size)
        of_json = self._delta.actions.Action.fromJson
        none = jvm.scala.Option.empty()
        append = jvm.org.apache.spark.sql.SaveMode.Append
        write = getattr(self._delta, "DeltaOperations$Write")(append, none, none, none)
        if self._name:
            now = round(time.time() * 1000)
            txn = {"txn": {"appId": self._name, "version": ONCE, "lastUpdated": now}}
            actions = [*actions, json.dumps(txn)]
        committed = jvm.PythonUtils.toSeq([of_json(action) for action in actions])
        return cast(int, self._transaction.commit(committed, write))

    def _set_metrics(self, **counts: int) -> None:
        """Set what the table's history shows of this append."""
        jvm = self._spark._jvm
        context = self._spark.sparkContext._jsc.sc()
        create = jvm.org.apache.spark.sql.execution.metric.SQLMetrics.createMetric
        metrics = {name: create(context, name) for name in counts}
        for name, count in counts.items():
            metrics[name].set(count)
        scala = jvm.PythonUtils.toScalaMap(metrics)
        self._transaction.registerSQLMetrics(self._spark._jsparkSession, scala)
