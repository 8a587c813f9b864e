"""Which rows are copies: of bytes that came before, or of a file that was rewritten since."""

from typing import TYPE_CHECKING

from delta.tables import DeltaTable

from steps.lake.tables import table_path
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ORDER = "ORDER BY ingested_at, modified_at, path"


def mark_copies(spark: "SparkSession", profile: Profile) -> None:
    """Set ``duplicate_of`` and ``replaced_at`` where they are not set yet.

    ``duplicate_of`` is the path under which the same bytes came first. ``replaced_at`` is when a
    file's newer bytes were taken in, into either table: rows without it say what is in the
    landing zone now. Only narrow columns are read, and a call that finds nothing to mark writes
    nothing.
    """
    for name in ("images", "quarantine"):
        spark.read.format("delta").load(table_path(profile, name)).createOrReplaceTempView(name)
    _mark(
        spark,
        profile,
        "images",
        "duplicate_of",
        f"""
        SELECT path, ingested_at, original AS value FROM (
            SELECT path, ingested_at, duplicate_of,
                first(path) OVER (PARTITION BY sha256 {ORDER}) AS original
            FROM images)
        WHERE original <> path AND duplicate_of IS NULL
        """,
    )
    for name in ("images", "quarantine"):
        _mark(
            spark,
            profile,
            name,
            "replaced_at",
            f"""
            SELECT path, ingested_at, newer AS value FROM (
                SELECT *, lead(ingested_at) OVER (PARTITION BY path {ORDER}) AS newer FROM (
                    SELECT 'images' AS here, path, ingested_at, modified_at, replaced_at
                    FROM images
                    UNION ALL
                    SELECT 'quarantine' AS here, path, ingested_at, modified_at, replaced_at
                    FROM quarantine))
            WHERE here = '{name}' AND newer IS NOT NULL AND replaced_at IS NULL
            """,
        )


def _mark(spark: "SparkSession", profile: Profile, table: str, column: str, query: str) -> None:
    marks = spark.sql(query).persist()
    try:
        if marks.isEmpty():
            return
        (
            DeltaTable.forPath(spark, table_path(profile, table))
            .alias("row")
            .merge(
                marks.alias("mark"),
                "row.path = mark.path AND row.ingested_at = mark.ingested_at",
            )
            .whenMatchedUpdate(set={column: "mark.value"})
            .execute()
        )
    finally:
        marks.unpersist()
