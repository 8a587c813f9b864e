"""The newest rows of ``labels``, brought into ``images``; and rows that merge two classes."""

import logging
import uuid
from datetime import UTC, datetime
from operator import methodcaller

import pyarrow as pa
from pyspark.sql import SparkSession

from steps.errors import UserError
from steps.ingestion.label_export import read_labels
from steps.ingestion.label_rows import RENAME, LabelRow, add_labels, current_labels, given_by
from steps.ingestion.label_text import normalize_label
from steps.ingestion.labels import ROW
from steps.ingestion.tables import IMAGES, read_current
from steps.lake.newest import Newest
from steps.landing.place import display
from steps.settings.profile import Profile

logger = logging.getLogger("steps")

LABELLED = {"label": "new.label", "label_from": "new.label_from"}
"""What an image gets from the table ``labels``."""

Pending = tuple[str, str, str | None, str | None]
"""Path and sha256 of an image, and the label and its origin that ``images`` lacks."""


def pending_labels(images: Newest, profile: Profile, source: str) -> list[Pending]:
    """Return the images of a source that have another label by their newest row.

    Spark is not started.
    """
    newest = current_labels(profile)
    columns = dict.fromkeys(("sha256", "label", "label_from"), pa.string())
    rows = read_current(images, source, columns).to_pylist() if newest else []
    given = given_by(newest, source, profile.file_name, rows)
    pairs = zip(rows, given, strict=True)
    changes = ((row["path"], row["sha256"], *to) for row, to in pairs if to[0] != row["label"])
    return list(dict.fromkeys(changes))


def apply_labels(spark: SparkSession, profile: Profile, pending: list[Pending]) -> int:
    """Write pending labels into ``images``; return the number of images whose label changed."""
    if pending:
        texts = ", ".join(f"{name} STRING" for name in ("path", "sha256", *LABELLED))
        changes = spark.createDataFrame(pending, texts)
        update = methodcaller("whenMatchedUpdate", set=LABELLED)
        IMAGES.merge(spark, profile, changes, ROW, update)
        logger.info("labels of %d images updated by the table labels", len(pending))
    return len(pending)


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
