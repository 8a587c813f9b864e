"""Labels from a table, merged into ``images``."""

import logging
from typing import TYPE_CHECKING, Literal, NamedTuple

from delta.tables import DeltaTable

from steps.errors import UserError
from steps.ingestion.folders import normalize_split
from steps.ingestion.label_text import normalize_label
from steps.ingestion.landing import normalize
from steps.ingestion.tables import IMAGES, path_is_under
from steps.lake.transaction import retry_conflicts
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

logger = logging.getLogger("steps")

Key = Literal["file_name", "path", "sha256"]


class MergedLabels(NamedTuple):
    """The effect of a table of labels.

    Attributes:
        added: number of images that had no label.
        changed: number of images that had another label.
        conflicts: keys with several labels, whose images keep what they had.
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
    images = IMAGES.load(spark, profile)
    here = images.toDF().where(path_is_under(source))
    known = here.select("path", "file_name", "sha256", functions.col("label").alias("before"))
    matched = given.where("size(labels) = 1").join(known, key)
    changes = matched.selectExpr("path", "sha256", "before", "labels[0] AS label").where(
        "NOT (before <=> label)"
    )
    changes = changes.dropDuplicates(["path", "sha256"]).persist()
    counts = changes.selectExpr("count(*)", "count(before)").collect()[0]
    added, changed = counts[0] - counts[1], counts[1]
    if added or changed:
        retry_conflicts(
            images.alias("row")
            .merge(changes.alias("new"), "row.path = new.path AND row.sha256 = new.sha256")
            .whenMatchedUpdate(set={"label": "new.label", "label_from": "'table'"})
            .execute
        )
    conflicts = [row[key] for row in given.where("size(labels) > 1").orderBy(key).collect()]
    unmatched = given.join(known, key, "left_anti").count()
    _merge_splits(images, rows.where("split IS NOT NULL"), known, key)
    for frame in (given, changes):
        frame.unpersist()
    logger.info("labels: %d added, %d changed", added, changed)
    if conflicts:
        logger.warning(
            "labels: %d images have several labels and keep theirs, such as %s",
            len(conflicts),
            ", ".join(conflicts[:3]),
        )
    return MergedLabels(added, changed, conflicts, unmatched)


def _merge_splits(images: DeltaTable, given: "DataFrame", known: "DataFrame", key: Key) -> None:
    """Write the table's column ``split``; a key with several splits keeps what it had."""
    from pyspark.sql import functions

    if given.isEmpty():
        return
    splits = given.groupBy(key).agg(functions.collect_set("split").alias("splits"))
    new = splits.where("size(splits) = 1").join(known, key)
    new = new.selectExpr("path", "sha256", "splits[0] AS split").dropDuplicates(["path", "sha256"])
    retry_conflicts(
        images.alias("row")
        .merge(new.alias("new"), "row.path = new.path AND row.sha256 = new.sha256")
        .whenMatchedUpdate("NOT (row.split <=> new.split)", {"split": "new.split"})
        .execute
    )


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
