"""The newest rows of ``labels``, brought into ``images``; and rows that merge two classes."""

import logging
import uuid
from datetime import UTC, datetime
from operator import methodcaller

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from steps.errors import UserError
from steps.ingestion.file_name import parse_file_name
from steps.ingestion.label_export import read_labels
from steps.ingestion.label_rows import (
    FROM_LABELS,
    RENAME,
    UNDO,
    LabelRow,
    add_labels,
    current_labels,
    labels_by,
)
from steps.ingestion.label_text import normalize_label
from steps.ingestion.labels import ROW
from steps.ingestion.landing import display
from steps.ingestion.tables import IMAGES, LABELS, current_rows, read_current
from steps.lake.newest import Newest
from steps.settings.profile import Profile

logger = logging.getLogger("steps")

LABELLED = {"label": "new.label", "label_from": "new.label_from"}
"""What an image gets from the table ``labels``."""

BY_ROW = f"""CASE WHEN label IS NOT NULL OR how != '{UNDO}'
    THEN named_struct('label', label, 'label_from', '{FROM_LABELS}')
    WHEN label_from = '{FROM_LABELS}' THEN given
    ELSE named_struct('label', old_label, 'label_from', label_from) END"""
"""Label and origin of an image by its newest row, as :func:`labels_by` has it in Python."""

NEWEST = "max_by(struct(label, how), struct(labelled_at, id))"
"""What the newest row of an image in ``labels`` says."""


def has_pending_labels(images: Newest, profile: Profile, source: str) -> bool:
    """Return whether an image has another label by its newest row; Spark is not started."""
    newest = {row["sha256"]: row for row in current_labels(profile).to_pylist()}
    columns = dict.fromkeys(("sha256", "label", "label_from"), pa.string())
    rows = read_current(images, source, columns).to_pylist() if newest else []
    labels = labels_by(newest, source, profile.file_name, rows)
    return any(label != row["label"] for label, row in zip(labels, rows, strict=True))


def apply_labels(spark: SparkSession, profile: Profile, source: str, has_splits: bool) -> int:
    """Bring the labels of a source's images up to date with the newest rows of ``labels``.

    Args:
        spark: the session.
        profile: names the lake.
        source: of the images.
        has_splits: as for :func:`steps.ingestion.file_name.parse_file_name`.

    Returns:
        the number of images whose label changed.
    """

    def give(path: str) -> tuple[str | None, str | None]:
        name = parse_file_name(path, source, profile.file_name, has_splits)
        return name.label, name.label_from

    rows = LABELS.read(spark, profile).groupBy("sha256")
    newest = rows.agg(F.expr(NEWEST).alias("row")).select("sha256", "row.*")
    images = current_rows(spark, profile, IMAGES, source).withColumnRenamed("label", "old_label")
    images = images.select("path", "sha256", "old_label", "label_from").join(newest, "sha256")
    given = F.udf(give, "label STRING, label_from STRING")("path")
    found = images.withColumn("given", given).withColumn("found", F.expr(BY_ROW))
    pending = found.where("NOT (old_label <=> found.label)").select("path", "sha256", "found.*")
    pending = pending.toDF("path", "sha256", *LABELLED).distinct().persist()
    try:
        count = pending.count()
        if count:
            update = methodcaller("whenMatchedUpdate", set=LABELLED)
            IMAGES.merge(spark, profile, pending, ROW, update)
            logger.info("labels of %d images updated by the table labels", count)
        return int(count)
    finally:
        pending.unpersist()


def merge_classes(
    spark: SparkSession, profile: Profile, source: str, label: str, into: str, labeller: str
) -> int:
    """Add a row for each image of a source with a label that gives it another label.

    Returns:
        the number of images.

    Raises:
        UserError: one of the labels is empty, or no image has the first.
    """
    old, new = normalize_label(label), normalize_label(into)
    images = {one["sha256"] for one in read_labels(profile, source) if one["label"] == old}
    if not old or not new or not images:
        raise UserError(
            f"no image of {display(source)} is labelled {label or 'so'}; pass -P merge=<label>=<"
            "label that its images get>"
        )
    now = datetime.now(UTC)
    rows = [
        LabelRow(uuid.uuid4().hex, sha256, new, labeller, RENAME, now) for sha256 in sorted(images)
    ]
    return add_labels(spark, profile, rows, f"{old} merged into {new} by {labeller}")
