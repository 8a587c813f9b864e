"""A Delta table of the lake: how it is created, read, versioned and shown to SQL."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

from delta.tables import DeltaMergeBuilder, DeltaTable
from pyspark.sql import DataFrame, SparkSession

from steps.errors import UserError
from steps.lake.creation import create_table, parse_columns, split_columns
from steps.lake.delta_log import DeltaLog
from steps.lake.schema import PROPERTY, SCHEMA, is_current, require_known
from steps.lake.transaction import retry_conflicts

if TYPE_CHECKING:
    from steps.settings.profile import Profile  # which the workers need not import

MESSAGE = "spark.databricks.delta.commitInfo.userMetadata"
"""Setting of a session: the message of each version that it writes."""


@dataclass(frozen=True)
class Table:
    """A table's name, columns and file layout.

    Attributes:
        name: of its folder below the profile's ``lake``.
        columns: as Spark's DDL, long ones after the indexed ones.
        indexed: number of leading columns for which Delta keeps statistics.
        partitioned_by: the partition columns.
        long: columns that get neither dictionaries nor statistics in files that workers write.
        rows_at_once: rows that Parquet encodes together in these files; few if rows are large.
    """

    name: str
    columns: str
    indexed: int
    partitioned_by: tuple[str, ...] = ()
    long: tuple[str, ...] = ()
    rows_at_once: int = 1024

    @cached_property
    def types(self) -> dict[str, str]:
        """The columns' types as they are written in DDL, by name."""
        return dict(split_columns(self.columns))

    def path(self, profile: "Profile") -> str:
        """Return the table's folder or URI."""
        return f"{profile.lake}/{self.name}"

    def exists(self, spark: SparkSession, profile: "Profile") -> bool:
        """Return whether the lake has this table."""
        return bool(DeltaTable.isDeltaTable(spark, self.path(profile)))

    def read(
        self, spark: SparkSession, profile: "Profile", version: int | None = None
    ) -> DataFrame:
        """Return the rows of a version; None: of the newest."""
        self._properties(profile)
        reader = spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(self.path(profile))

    def load(self, spark: SparkSession, profile: "Profile") -> DeltaTable:
        """Return the table, which has to exist."""
        self._properties(profile)
        return DeltaTable.forPath(spark, self.path(profile))

    def create(self, profile: "Profile") -> None:
        """Create the table if it is missing."""
        properties = {"delta.dataSkippingNumIndexedCols": str(self.indexed), PROPERTY: str(SCHEMA)}
        schema = parse_columns(self.columns)
        create_table(self.path(profile), schema, self.partitioned_by, properties)

    def _properties(self, profile: "Profile") -> dict[str, str]:
        """Return the table's properties; none if there is no table.

        Raises:
            UserError: a later version of the project wrote it.
        """
        log = DeltaLog(self.path(profile))
        return log.read(log.versions[-1]).properties if log.versions else {}

    def open(self, spark: SparkSession, profile: "Profile") -> DeltaTable:
        """Return the table; create it if it is missing, and bring an older one to this schema."""
        return retry_conflicts(lambda: self._open(spark, profile))

    def _open(self, spark: SparkSession, profile: "Profile") -> DeltaTable:
        self.create(profile)
        self._properties(profile)
        table = DeltaTable.forPath(spark, self.path(profile))
        present = table.toDF().columns
        if missing := [name for name in self.types if name not in present]:
            added = ", ".join(f"{name} {self.types[name]}" for name in missing)
            spark.sql(f"ALTER TABLE delta.`{self.path(profile)}` ADD COLUMNS ({added})")
            table = self.load(spark, profile)
        self._raise_schema(spark, profile)  # last: an interrupted migration is done again
        return table

    def _raise_schema(self, spark: SparkSession, profile: "Profile") -> None:
        """Set the newest schema unless it is set.

        Raises:
            UserError: a later version of the project set its own meanwhile, which stays.
        """
        path = self.path(profile)
        log = DeltaLog(path)
        before = log.read(log.versions[-1])
        if is_current(before.properties):
            return
        alter = f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('{PROPERTY}' = '{{}}')"
        spark.sql(alter.format(SCHEMA))
        log = DeltaLog(path)
        for version in (one for one in log.versions if one > before.version):
            properties = log.replay(version).properties
            try:
                require_known(path, properties)
            except UserError:
                spark.sql(alter.format(properties[PROPERTY]))
                raise

    def merge(
        self,
        spark: SparkSession,
        profile: "Profile",
        rows: DataFrame,
        on: str,
        then: Callable[[DeltaMergeBuilder], DeltaMergeBuilder],
        message: str = "",
    ) -> int:
        """Merge rows into the newest version, again if another run's write came first.

        Args:
            spark: the session.
            profile: names the lake.
            rows: what is merged; ``new`` in the conditions, as ``row`` is the table.
            on: the condition by which rows match.
            then: adds what becomes of the rows that match, or do not.
            message: of the new version, in the table's history.

        Returns:
            the number of rows that were changed, added or deleted.
        """

        def write() -> DataFrame:
            into = self.load(spark, profile).alias("row").merge(rows.alias("new"), on)
            return then(into).execute()

        if message:
            spark.conf.set(MESSAGE, message)
        try:
            return cast(int, retry_conflicts(write).head()["num_affected_rows"])
        finally:
            spark.conf.unset(MESSAGE)

    def create_view(
        self, spark: SparkSession, profile: "Profile", version: int | None = None
    ) -> str:
        """Let SQL name the table for as long as the session lasts.

        Args:
            spark: the session.
            profile: names the lake.
            version: an older version, whose view is named as in ``images_v1``.

        Returns:
            the view's name.
        """
        name = self.name if version is None else f"{self.name}_v{version}"
        as_of = "" if version is None else f" VERSION AS OF {version}"
        self._properties(profile)
        spark.sql(
            f"CREATE OR REPLACE TEMPORARY VIEW {name} AS "  # noqa: S608  the project's own names
            f"SELECT * FROM delta.`{self.path(profile)}`{as_of}"
        )
        return name


def current_version(table: DeltaTable) -> int:
    """Return the newest version of an open table, by Spark."""
    return cast(int, table.history(1).select("version").head()[0])
