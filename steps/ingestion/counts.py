"""The number of rows of a landing zone in the tables."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from steps.ingestion.folders import normalize_split
from steps.ingestion.label_text import normalize_label
from steps.ingestion.tables import IMAGES, QUARANTINE, path_is_under
from steps.lake.tables import Table
from steps.pipeline.outputs import IngestOutputs
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


CLASSES_SHOWN = 20
ORIGINS = {"name": "file names", "folder": "folders", "table": "a table"}


def current_rows(spark: "SparkSession", profile: Profile, table: Table, source: str) -> "DataFrame":
    """Return a table's rows of a landing zone, without those of files that were rewritten since."""
    rows = table.read(spark, profile)
    return rows.where(path_is_under(source)).where("replaced_at IS NULL")


def quarantine_reasons(spark: "SparkSession", profile: Profile, source: str) -> dict[str, int]:
    """Return the number of quarantined files by their reason, the most frequent one first."""
    rows = current_rows(spark, profile, QUARANTINE, source).groupBy("reason").count()
    most_first = sorted(rows.collect(), key=lambda row: (-row["count"], row["reason"]))
    return {row["reason"]: row["count"] for row in most_first}


def source_counts(
    spark: "SparkSession", profile: Profile, source: str, run_id: str
) -> dict[str, Any]:
    """Return the counts of :class:`IngestOutputs`."""
    from pyspark.sql import functions

    images = current_rows(spark, profile, IMAGES, source)
    groups = (
        images.groupBy("label", "label_from", "split")
        .agg(
            functions.count("*").alias("images"),
            functions.count_if(functions.col("ingest_run_id") == run_id).alias("new"),
            functions.count("duplicate_of").alias("duplicates"),
        )
        .collect()
    )
    labels, labels_from, splits = Counter[str](), Counter[str](), Counter[str]()
    for row in groups:
        if label := normalize_label(row["label"]):
            labels[label] += row["images"]
            labels_from[row["label_from"] or "elsewhere"] += row["images"]
        if split := normalize_split(row["split"]):
            splits[split] += row["images"]
    return {
        "images": sum(row["images"] for row in groups),
        "new_images": sum(row["new"] for row in groups),
        "duplicates": sum(row["duplicates"] for row in groups),
        "labels": dict(sorted(labels.items())),
        "labels_from": dict(labels_from),
        "splits": dict(splits),
    }


def describe_classes(ingested: IngestOutputs) -> str:
    """Return the classes of a landing zone with their images, and the split that it brings."""
    most = sorted(ingested.labels.items(), key=lambda item: -item[1])[:CLASSES_SHOWN]
    shown = [f"{label} {count}" for label, count in sorted(most)]
    if more := len(ingested.labels) - len(most):
        shown.append(f"and {more} more")
    of_all = len(ingested.labels_from) == 1
    origins = (
        ORIGINS.get(origin, origin) + (f" ({count})" if not of_all else "")
        for origin, count in ingested.labels_from.items()
    )
    if ingested.labels_from:
        shown.append(f"from {' and '.join(origins)}")
    text = f"classes: {', '.join(shown) or 'none'}"
    if unlabelled := ingested.images - sum(ingested.labels.values()):
        text += f"; {unlabelled} images without a label"
    if ingested.splits:
        splits = ", ".join(f"{split} {count}" for split, count in sorted(ingested.splits.items()))
        text += f"; the set's own split: {splits}"
    return text
