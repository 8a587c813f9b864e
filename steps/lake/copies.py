"""Which rows are copies: of bytes that came before, or of a file that was rewritten since."""

from typing import TYPE_CHECKING

from steps.lake.tables import table_path
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ORDER = "ORDER BY ingested_at, modified_at, path"

MARKS = f"""
SELECT here, path, ingested_at, original, newer FROM (
    SELECT *,
        nullif(first(path) OVER (PARTITION BY here, sha256 {ORDER}), path) AS original,
        lead(ingested_at) OVER (PARTITION BY path {ORDER}) AS newer
    FROM (
        SELECT 'images' AS here, path, sha256, ingested_at, modified_at, replaced_at, duplicate_of
        FROM images
        UNION ALL
        SELECT 'quarantine', path, uuid(), ingested_at, modified_at, replaced_at, NULL
        FROM quarantine))
WHERE original IS NOT NULL AND duplicate_of IS NULL OR newer IS NOT NULL AND replaced_at IS NULL
"""
"""One pass over narrow columns. What is in quarantine has no duplicates, whatever its bytes."""


def mark_copies(spark: "SparkSession", profile: Profile) -> None:
    """Set ``duplicate_of`` and ``replaced_at`` where they are not set yet.

    ``duplicate_of`` is the path under which the same bytes came first. ``replaced_at`` is when a
    file's newer bytes were taken in, into either table: rows without it say what is in the
    landing zone now. A call that finds nothing to mark writes nothing.
    """
    from delta.tables import DeltaTable

    tables = {
        name: DeltaTable.forPath(spark, table_path(profile, name))
        for name in ("images", "quarantine")
    }
    for name, table in tables.items():
        table.toDF().createOrReplaceTempView(name)
    marks = spark.sql(MARKS).persist()
    try:
        for row in marks.select("here").distinct().collect():
            columns = {"replaced_at": "mark.newer"}
            if row["here"] == "images":
                columns["duplicate_of"] = "mark.original"
            (
                tables[row["here"]]
                .alias("row")
                .merge(
                    marks.where(f"here = '{row['here']}'").alias("mark"),
                    "row.path = mark.path AND row.ingested_at = mark.ingested_at",
                )
                .whenMatchedUpdate(set=columns)
                .execute()
            )
    finally:
        marks.unpersist()
