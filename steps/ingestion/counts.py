"""The number of rows of a landing zone in the tables."""

from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from steps.ingestion.folders import normalize_split
from steps.ingestion.label_text import normalize_label
from steps.ingestion.tables import IMAGES, QUARANTINE, current_rows
from steps.pipeline.outputs import IngestOutputs
from steps.settings.profile import Profile

CLASSES_SHOWN = 20
ORIGINS = {"name": "file names", "folder": "folders", "table": "a table"}


def quarantine_reasons(spark: SparkSession, profile: Profile, source: str) -> dict[str, int]:
    """Return the number of quarantined files by their reason, the most frequent one first."""
    rows = current_rows(spark, profile, QUARANTINE, source).groupBy("reason").count()
    return dict(map(tuple, rows.orderBy(F.desc("count"), "reason").collect()))


def source_counts(
    spark: SparkSession, profile: Profile, source: str, run_id: str
) -> dict[str, Any]:
    """Return the counts of :class:`IngestOutputs`."""
    images = current_rows(spark, profile, IMAGES, source)
    groups = (
        images.groupBy("label", "label_from", "split")
        .agg(
            F.count("*").alias("images"),
            F.count_if(F.col("ingest_run_id") == run_id).alias("new"),
            F.count("duplicate_of").alias("duplicates"),
        )
        .toPandas()
    )
    groups["label"] = groups["label"].map(normalize_label)
    groups["split"] = groups["split"].map(normalize_split)
    groups["label_from"] = groups["label_from"].fillna("elsewhere").where(groups["label"].notna())

    def count_by(column: str) -> dict[str, int]:
        return {name: int(count) for name, count in groups.groupby(column)["images"].sum().items()}

    return {
        "images": int(groups["images"].sum()),
        "new_images": int(groups["new"].sum()),
        "duplicates": int(groups["duplicates"].sum()),
        "labels": count_by("label"),
        "labels_from": count_by("label_from"),
        "splits": count_by("split"),
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
