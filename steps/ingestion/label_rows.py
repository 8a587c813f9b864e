"""Labels as rows with a history: the table ``labels``, whose newest row of an image counts."""

from datetime import datetime
from operator import methodcaller
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from steps.ingestion.file_name import parse_file_name
from steps.ingestion.folders import folders_below, have_splits
from steps.ingestion.label_text import normalize_label
from steps.ingestion.tables import LABELS, TIME
from steps.lake.delta_log import DeltaLog
from steps.lake.newest import read_newest
from steps.settings.profile import Profile

NOT_SURE, UNDO, IMPORT, RENAME = "not sure", "undo", "import", "rename"
"""Ways to label that mean more than the label they give: ``how`` of a row."""

CONTROL = "control"
"""``how`` of a label given by a key to an image that was drawn at random."""

UNDO_TO_NOT_SURE = "undo to not sure"
"""As ``undo``, of a label that was given to an image of which its labeller was not sure."""

FROM_LABELS = "labels"
"""``label_from`` of an image that has its label from this table."""

SCHEMA = pa.schema(
    [(name, TIME if kind == "TIMESTAMP" else pa.string()) for name, kind in LABELS.types.items()]
)


class LabelRow(NamedTuple):
    """A label that someone, or something, gave to an image.

    Attributes:
        id: hexadecimal, made when the label is given; a row is stored once.
        sha256: of the image.
        label: None if the labeller is not sure, or takes a label back to none.
        labeller: who gave it.
        how: key, control (a key, of an image drawn at random), timeline, grid, map, proposal,
            import, undo, not sure, undo to not sure or rename.
        labelled_at: UTC.
        proposed_by: version of the model that proposed it.
    """

    id: str
    sha256: str
    label: str | None
    labeller: str
    how: str
    labelled_at: datetime
    proposed_by: str | None = None


def add_labels(spark: SparkSession, profile: Profile, rows: list[LabelRow], message: str) -> int:
    """Add rows to ``labels`` as one version, except those whose ``id`` is there already.

    Args:
        spark: the session.
        profile: names the lake.
        rows: in any order; ``id`` is unique among them.
        message: of the version, in the table's history (``userMetadata``).

    Returns:
        the number of rows that were new.
    """
    texts = [row._replace(label=normalize_label(row.label)) for row in rows]
    return add_rows(spark, profile, spark.createDataFrame(texts, LABELS.columns), message)


def add_rows(spark: SparkSession, profile: Profile, rows: DataFrame, message: str) -> int:
    """Add the rows of a data frame as :func:`add_labels` does; its labels are normalized."""
    known = LABELS.open(spark, profile).toDF().select("id")
    new = rows.join(known, "id", "left_anti").persist()
    try:
        if new.isEmpty():  # a merge that adds nothing would write a version as well
            return 0
        insert = methodcaller("whenNotMatchedInsertAll")
        return LABELS.merge(spark, profile, new, "row.id = new.id", insert, message)
    finally:
        new.unpersist()


def labels_version(profile: Profile) -> int:
    """Return the newest version of ``labels``; -1 if there is no such table."""
    return max(DeltaLog(LABELS.path(profile)).versions, default=-1)


def all_labels(profile: Profile) -> pa.Table:
    """Return every row of ``labels``, the oldest first; Spark is not started."""
    rows = read_newest(LABELS.path(profile), SCHEMA, pc.field("id").is_valid())
    return rows.sort_by([("labelled_at", "ascending"), ("id", "ascending")])


def without_undone(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of ``labels``, the oldest first, without those taken back, and without undos."""
    undone: set[str] = set()
    before: dict[str, list[str]] = {}
    for row in rows:
        ids = before.setdefault(row["sha256"], [])
        if row["how"] in (UNDO, UNDO_TO_NOT_SURE) and ids:
            undone |= {row["id"], ids.pop()}
        else:
            ids.append(row["id"])
    return [row for row in rows if row["id"] not in undone]


def labels_by(
    newest: dict[str, dict[str, Any]], source: str, pattern: str, images: list[dict[str, Any]]
) -> list[str | None]:
    """Return the label of each image by its newest row in ``labels``, or else its own."""
    return [label for label, _ in given_by(newest, source, pattern, images)]


def given_by(
    newest: dict[str, dict[str, Any]], source: str, pattern: str, images: list[dict[str, Any]]
) -> list[tuple[str | None, str | None]]:
    """Return label and origin (``label_from``) of each image by its newest row, or else its own.

    Args:
        newest: rows by sha256.
        source: the landing zone.
        pattern: of file names.
        images: all of the landing zone: path, sha256, label and label_from, as they are in
            ``images``.
    """
    has_splits = have_splits(folders_below((image["path"] for image in images), source))

    def give(image: dict[str, Any]) -> tuple[str | None, str | None]:
        row = newest.get(image["sha256"])
        if row and (row["label"] is not None or row["how"] != UNDO):
            return row["label"], FROM_LABELS
        if row and image["label_from"] == FROM_LABELS:
            # taken back to none: what its name or folder gives counts again
            name = parse_file_name(image["path"], source, pattern, has_splits)
            return name.label, name.label_from
        return image["label"], image["label_from"]

    return list(map(give, images))


def current_labels(profile: Profile) -> dict[str, dict[str, Any]]:
    """Return the newest row of each image in ``labels`` by its sha256; Spark is not started.

    Of two rows of the same microsecond, the one with the greater ``id`` counts.
    """
    return {row["sha256"]: row for row in all_labels(profile).to_pylist()}
