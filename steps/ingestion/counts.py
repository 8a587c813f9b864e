"""The number of rows of a landing zone in the tables."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from steps.ingestion.label_text import normalize_label
from steps.ingestion.tables import IMAGES, QUARANTINE, path_is_under
from steps.lake.tables import Table
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def current_rows(spark: "SparkSession", profile: Profile, table: Table, source: str) -> "DataFrame":
    """Return a table's rows of a landing zone, without those of files that were rewritten since."""
    rows = table.read(spark, profile)
    return rows.where(path_is_under(source)).where("replaced_at IS NULL")


def source_counts(
    spark: "SparkSession", profile: Profile, source: str, run_id: str
) -> dict[str, Any]:
    """Return the counts of :class:`IngestOutputs`."""
    from pyspark.sql import functions

    images = current_rows(spark, profile, IMAGES, source)
    by_label = (
        images.groupBy("label")
        .agg(
            functions.count("*").alias("images"),
            functions.count_if(functions.col("ingest_run_id") == run_id).alias("new"),
            functions.count("duplicate_of").alias("duplicates"),
        )
        .orderBy("label")
        .collect()
    )
    labels: Counter[str] = Counter()
    for row in by_label:
        if label := normalize_label(row["label"]):
            labels[label] += row["images"]
    return {
        "images": sum(row["images"] for row in by_label),
        "new_images": sum(row["new"] for row in by_label),
        "duplicates": sum(row["duplicates"] for row in by_label),
        "quarantined": current_rows(spark, profile, QUARANTINE, source).count(),
        "labels": dict(labels),
    }
