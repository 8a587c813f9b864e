"""Labels from a file, merged into ``images``."""

import logging
from operator import methodcaller
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from delta.tables import DeltaTable
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from steps.errors import UserError
from steps.ingestion.folders import normalize_split
from steps.ingestion.label_rows import IMPORT, add_rows, all_labels
from steps.ingestion.label_studio import parse_tasks
from steps.ingestion.label_text import normalize_label
from steps.ingestion.tables import IMAGES, current_rows
from steps.landing.place import display, normalize, read
from steps.settings.profile import Profile

logger = logging.getLogger("steps")

Key = Literal["file_name", "path", "sha256"]

ROW = "row.path = new.path AND row.sha256 = new.sha256"
IMPORTED = {
    "label": "new.label",
    "label_from": "if(row.label <=> new.label, row.label_from, 'table')",
    "split": "new.split",
}
"""What an image gets from a file of labels, by column."""


class MergedLabels(NamedTuple):
    """The effect of labels that were merged into the images from a table.

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
    spark: SparkSession, profile: Profile, source: str, table: str, key: Key
) -> MergedLabels:
    """Write the labels of a table into a new version of ``images``.

    Earlier versions keep their labels, so a training run can be repeated. What is new in the file
    since it was imported last becomes rows of ``labels``; what is not leaves it to these rows which
    label counts, so that the same file every night takes no correction back.

    Args:
        spark: the session.
        profile: names the lake.
        source: only images below it are labelled.
        table: a CSV file with a header, a Parquet file or folder, or a Delta table, with the
            columns ``label`` and ``key``, and if there is one, ``split``; or Label Studio's JSON.
        key: file_name, path or sha256.

    Raises:
        UserError: the table cannot be read or lacks a column.
    """
    given = (
        _read(spark, table, key)
        .groupBy(key)
        .agg(F.collect_set("label").alias("labels"), F.collect_set("split").alias("splits"))
        .persist()
    )
    known = current_rows(spark, profile, IMAGES, source).selectExpr(
        *("path", "file_name", "sha256", "label AS old_label", "split AS old_split"),
        f"size(collect_set(sha256) OVER (PARTITION BY {key})) AS images",
    )
    # read without Spark, which would compute this again once rows are added
    rows = all_labels(profile).to_pylist()
    imported = {row["sha256"]: row["label"] for row in rows if row["how"] == IMPORT}
    imports = spark.createDataFrame([*imported.items()], "sha256 STRING, imported STRING")
    matched = given.join(known, key).join(imports, "sha256", "left").persist()
    _record(spark, profile, matched, display(table))
    values = matched.where("images = 1").selectExpr(
        *("path", "sha256", "old_label", "old_split"),
        "if(size(labels) = 1 AND NOT (labels[0] <=> imported), labels[0], old_label) AS label",
        "if(size(splits) = 1, splits[0], old_split) AS split",
    )
    changes = values.where("NOT (old_label <=> label AND old_split <=> split)")
    changes = changes.dropDuplicates(["path", "sha256"]).persist()
    added, changed, count = changes.selectExpr(
        "count_if(old_label IS NULL AND label IS NOT NULL)",
        "count_if(old_label <> label)",
        "count(*)",
    ).collect()[0]
    if count:
        IMAGES.merge(spark, profile, changes, ROW, methodcaller("whenMatchedUpdate", set=IMPORTED))
    labelling = given.where("size(labels) > 0")
    conflicts = _keys(matched.where("size(labels) > 1 OR size(labels) = 1 AND images > 1"), key)
    unmatched = _keys(labelling.join(known, key, "left_anti"), key)
    listed, keys = given.selectExpr("count(*)", "count_if(size(labels) > 0)").collect()[0]
    for frame in (given, matched, changes):
        frame.unpersist()
    empty = f"; {listed - keys} keys in {table} have none" if listed > keys else ""
    logger.info("%d labels added, %d changed%s", added, changed, empty)
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


def _record(spark: SparkSession, profile: Profile, matched: DataFrame, file: str) -> None:
    """Add what is new in a file of labels to the table ``labels``."""
    new = (
        matched.where("images = 1 AND size(labels) = 1 AND NOT (labels[0] <=> imported)")
        .groupBy("sha256")
        .agg(F.collect_set(F.col("labels")[0]).alias("found"))
        .where("size(found) = 1")  # equal bytes may have two labels, by their paths
        .selectExpr(
            "replace(uuid(), '-', '') AS id",
            *("sha256", "found[0] AS label"),
            f"'{IMPORT}' AS how",
            "current_timestamp() AS labelled_at",
            "CAST(NULL AS STRING) AS proposed_by",
        )
        .withColumn("labeller", F.lit(PurePosixPath(file).name))
    )
    add_rows(spark, profile, new, f"imported from {file}")


def _keys(rows: DataFrame, key: str) -> list[str]:
    return [row[key] for row in rows.select(key).distinct().orderBy(key).collect()]


def _read(spark: SparkSession, table: str, key: Key) -> DataFrame:
    place = normalize(table)
    kind = "csv" if place.lower().endswith((".csv", ".csv.gz")) else "parquet"
    if place.lower().endswith(".json"):
        kind = "json"
    elif DeltaTable.isDeltaTable(spark, place):
        kind = "delta"
    try:
        if kind == "json":
            tasks = parse_tasks(read(place), key, table)
            labels = spark.createDataFrame(tasks, f"{key} STRING, label STRING")
            return _normalize_labels(labels, key)
        labels = spark.read.load(place, kind, header=True, escape='"')
    except (PySparkException, Py4JJavaError, OSError) as error:  # the second: damaged Parquet
        why = error.getCondition() if isinstance(error, PySparkException) else "damaged"
        why = error.strerror if isinstance(error, OSError) else why
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
    return _normalize_labels(labels, key)


def _normalize_labels(labels: DataFrame, key: Key) -> DataFrame:
    """Return key, label and split as ``images`` writes them, of the rows that have a key."""
    # a plain path is a local one, which the tables write with file:
    named = f"if({key} LIKE '/%', concat('file:', {key}), {key}) AS {key}"
    split = "CAST(split AS STRING) AS split" if "split" in labels.columns else "NULL AS split"
    if dict(labels.dtypes)["label"] in ("float", "double"):
        # pandas keeps whole numbers so if one is missing, and that one as NaN
        whole = "if(label % 1 = 0, CAST(try_cast(label AS BIGINT) AS STRING), NULL)"
        labels = labels.withColumn("label", F.expr("nanvl(label, NULL)"))
        labels = labels.withColumn("label", F.expr(f"coalesce({whole}, CAST(label AS STRING))"))
    labels = labels.selectExpr(named, "CAST(label AS STRING) AS label", split)
    labels = labels.withColumn("label", F.udf(normalize_label, "string")("label"))
    labels = labels.withColumn("split", F.udf(normalize_split, "string")("split"))
    return labels.where(f"{key} IS NOT NULL")
