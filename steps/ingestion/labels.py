"""Labels from a table, merged into ``images``."""

import logging
from typing import TYPE_CHECKING, Literal, NamedTuple

from delta.tables import DeltaTable

from steps.errors import UserError
from steps.ingestion.counts import current_rows
from steps.ingestion.folders import normalize_split
from steps.ingestion.label_text import normalize_label
from steps.ingestion.landing import display, normalize
from steps.ingestion.tables import IMAGES
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

logger = logging.getLogger("steps")

Key = Literal["file_name", "path", "sha256"]

ROW = "row.path = new.path AND row.sha256 = new.sha256"


class MergedLabels(NamedTuple):
    """The effect of a table of labels.

    Attributes:
        added: number of images that had no label.
        changed: number of images that had another label.
        conflicts: keys with several labels, or with several different images. Their images keep
            what they had.
        unmatched: number of keys without an image.
    """

    added: int
    changed: int
    conflicts: list[str]
    unmatched: int


def merge_labels(
    spark: "SparkSession", profile: Profile, source: str, table: str, key: Key
) -> MergedLabels:
    """Write the labels of a table into a new version of ``images``.

    Earlier versions keep their labels, so a training run can be repeated.

    Args:
        spark: the session.
        profile: names the lake.
        source: only images below it are labelled.
        table: a CSV file with a header, a Parquet file or folder, or a Delta table, with the
            columns ``label`` and ``key``, and if there is one, ``split``.
        key: file_name, path or sha256.

    Raises:
        UserError: the table cannot be read or lacks a column.
    """
    from pyspark.sql import functions

    rows = _read(spark, table, key)
    labels = rows.where("label IS NOT NULL")
    given = labels.groupBy(key).agg(functions.collect_set("label").alias("labels"))
    given = given.persist()
    known = current_rows(spark, profile, IMAGES, source).selectExpr(
        *("path", "file_name", "sha256", "label AS before"),
        f"size(collect_set(sha256) OVER (PARTITION BY {key})) AS images",
    )
    matched = given.join(known, key).persist()
    changes = matched.where("size(labels) = 1 AND images = 1").selectExpr(
        "path", "sha256", "before", "labels[0] AS label"
    )
    changes = changes.where("NOT (before <=> label)").dropDuplicates(["path", "sha256"]).persist()
    counts = changes.selectExpr("count(*)", "count(before)").collect()[0]
    added, changed = counts[0] - counts[1], counts[1]
    if added or changed:
        label = {"label": "new.label", "label_from": "'table'"}
        IMAGES.merge(spark, profile, changes, ROW, lambda into: into.whenMatchedUpdate(set=label))
    conflicts = _keys(matched.where("size(labels) > 1 OR images > 1"), key)
    unmatched = _keys(given.join(known, key, "left_anti"), key)
    splits, distinct = rows.where("split IS NOT NULL"), known.where("images = 1")
    _merge_splits(spark, profile, splits, distinct, key)
    keys = given.count()
    for frame in (given, matched, changes):
        frame.unpersist()
    logger.info("%d labels added, %d changed", added, changed)
    for found, problem in (
        (conflicts, "have several labels or several images, which keep what they had"),
        (unmatched, f"match no image of {display(source)}"),
    ):
        if found:
            logger.warning(
                "%d of the %d keys in %s %s, such as %s; -P labels_by=<file_name, path or sha256> "
                "says which column is the key",
                *(len(found), keys, table, problem, ", ".join(found[:3])),
            )
    return MergedLabels(added, changed, conflicts, len(unmatched))


def _keys(rows: "DataFrame", key: str) -> list[str]:
    return [row[key] for row in rows.select(key).distinct().orderBy(key).collect()]


def _merge_splits(
    spark: "SparkSession", profile: Profile, given: "DataFrame", known: "DataFrame", key: Key
) -> None:
    """Write the table's column ``split``; a key with several splits keeps what it had."""
    from pyspark.sql import functions

    if given.isEmpty():
        return
    splits = given.groupBy(key).agg(functions.collect_set("split").alias("splits"))
    new = splits.where("size(splits) = 1").join(known, key)
    new = new.selectExpr("path", "sha256", "splits[0] AS split").dropDuplicates(["path", "sha256"])
    differs, split = "NOT (row.split <=> new.split)", {"split": "new.split"}
    IMAGES.merge(spark, profile, new, ROW, lambda into: into.whenMatchedUpdate(differs, split))


def _read(spark: "SparkSession", table: str, key: Key) -> "DataFrame":
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException
    from pyspark.sql.functions import udf

    place = normalize(table)
    reader = spark.read
    if DeltaTable.isDeltaTable(spark, place):
        reader = reader.format("delta")
    elif place.lower().endswith((".csv", ".csv.gz")):
        reader = reader.format("csv").option("header", True)
    else:
        reader = reader.format("parquet")
    try:
        labels = reader.load(place)
    except (PySparkException, Py4JJavaError) as error:  # the latter: damaged Parquet
        why = error.getCondition() if isinstance(error, PySparkException) else "damaged"
        raise UserError(
            f"cannot read the labels {table} ({why}); pass -P labels=<CSV file "
            "with a header, Parquet, or Delta table>"
        ) from error
    if missing := {"label", key} - set(labels.columns):
        raise UserError(
            f"{table} has no column {' and '.join(sorted(missing))}, only "
            f"{', '.join(labels.columns)}; rename one, or pass -P labels_by=<file_name, path or "
            "sha256>"
        )
    # a plain path is a local one, which the tables write with file:
    named = f"if({key} LIKE '/%', concat('file:', {key}), {key}) AS {key}"
    split = "CAST(split AS STRING) AS split" if "split" in labels.columns else "NULL AS split"
    labels = labels.selectExpr(named, "CAST(label AS STRING) AS label", split)
    labels = labels.withColumn("label", udf(normalize_label, "string")("label"))
    labels = labels.withColumn("split", udf(normalize_split, "string")("split"))
    return labels.where(f"{key} IS NOT NULL")
