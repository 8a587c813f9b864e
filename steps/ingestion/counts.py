"""How many rows the tables hold of a landing zone."""

from typing import TYPE_CHECKING, Any

from steps.lake.tables import path_is_under, table_path
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def rows_of(spark: "SparkSession", profile: Profile, name: str, source: str) -> "DataFrame":
    """A table's rows of a landing zone whose files were not rewritten since."""
    table = spark.read.format("delta").load(table_path(profile, name))
    return table.where(path_is_under(source)).where("replaced_at IS NULL")


def source_counts(
    spark: "SparkSession", profile: Profile, source: str, run_id: str
) -> dict[str, Any]:
    """The counts of :class:`IngestOutputs`."""
    from pyspark.sql import functions as F

    images = rows_of(spark, profile, "images", source)
    by_label = (
        images.groupBy("label")
        .agg(
            F.count("*").alias("images"),
            F.count_if(F.col("ingest_run_id") == run_id).alias("new"),
            F.count("duplicate_of").alias("duplicates"),
        )
        .orderBy("label")
        .collect()
    )
    return {
        "images": sum(row["images"] for row in by_label),
        "new_images": sum(row["new"] for row in by_label),
        "duplicates": sum(row["duplicates"] for row in by_label),
        "quarantined": rows_of(spark, profile, "quarantine", source).count(),
        "labels": {row["label"]: row["images"] for row in by_label if row["label"] is not None},
    }
