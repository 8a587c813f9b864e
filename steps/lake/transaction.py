"""Appends to a Delta table, which under a name the table takes once: of rows, and of data files.

Spark's public interface writes the rows that pass through it. For files that others have written
there is the interface below, of the open-source Delta Lake whose version ``conda.yaml`` pins.
"""

import json
import time
from typing import TYPE_CHECKING

from py4j.java_gateway import JavaClass

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ONCE = 1
"""The only version of a transaction's name, so that it is taken once."""

PLAIN_WRITER = 2
"""The protocol version in which a writer has nothing to do but to add files."""


def append_rows(rows: "DataFrame", table: str, name: str) -> None:
    """Let Spark append rows.

    Args:
        rows: of the table's columns.
        table: folder or URI.
        name: of the transaction; an empty one is none, and taken each time.
    """
    writer = rows.write.format("delta").mode("append")
    if name:
        writer = writer.option("txnAppId", name).option("txnVersion", ONCE)
    writer.save(table)


class Append:
    """An append of data files to a table.

    Args:
        spark: the session.
        table: folder or URI.
        name: of the transaction; an empty one is none, and taken each time.

    Example::

        append = Append(spark, "/lake/images", "chunk 7")
        if append.possible and not append.done:
            append.commit(actions, rows)
    """

    def __init__(self, spark: "SparkSession", table: str, name: str):
        self._spark, self._name = spark, name
        self._delta = spark._jvm.org.apache.spark.sql.delta
        self.possible = isinstance(self._delta.DeltaLog, JavaClass)
        """False on another Delta than the open one, and where the table asks more of a writer:
        constraints, mapped columns and the like. Then Spark has to write."""
        if self.possible:
            log = self._delta.DeltaLog.forTable(spark._jsparkSession, table)
            self._transaction = log.startTransaction()
            self.possible = self._transaction.protocol().minWriterVersion() <= PLAIN_WRITER

    @property
    def done(self) -> bool:
        """Whether the table has taken this name before."""
        return bool(self._name) and self._transaction.txnVersion(self._name) >= ONCE

    def commit(self, actions: list[str], rows: int) -> int:
        """Make the files readable, all or none.

        Args:
            actions: Delta's ``add`` actions as JSON.
            rows: in all of them.

        Returns:
            The table's version that this made.
        """
        jvm = self._spark._jvm
        size = sum(json.loads(action)["add"]["size"] for action in actions)
        self._count(numFiles=len(actions), numOutputRows=rows, numOutputBytes=size)
        of_json = self._delta.actions.Action.fromJson
        none = jvm.scala.Option.empty()
        append = jvm.org.apache.spark.sql.SaveMode.Append
        write = getattr(self._delta, "DeltaOperations$Write")(append, none, none, none)
        if self._name:
            now = round(time.time() * 1000)
            txn = {"txn": {"appId": self._name, "version": ONCE, "lastUpdated": now}}
            actions = [*actions, json.dumps(txn)]
        committed = self._scala([of_json(action) for action in actions])
        return self._transaction.commit(committed.toSeq(), write)

    def _count(self, **counts: int) -> None:
        """What the table's history says of this append."""
        jvm = self._spark._jvm
        context = self._spark.sparkContext._jsc.sc()
        metrics = getattr(jvm.scala.collection.immutable, "Map$").__getattr__("MODULE$").empty()
        for name, count in counts.items():
            metric = jvm.org.apache.spark.sql.execution.metric.SQLMetrics.createMetric(
                context, name
            )
            metric.set(count)
            metrics = metrics.updated(name, metric)
        self._transaction.registerSQLMetrics(self._spark._jsparkSession, metrics)

    def _scala(self, values: list):
        converters = self._spark._jvm.scala.jdk.javaapi.CollectionConverters
        java = self._spark._jvm.java.util.ArrayList()
        for value in values:
            java.add(value)
        return converters.asScala(java)
