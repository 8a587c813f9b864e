"""Labels from a table, merged into ``images``."""

from typing import TYPE_CHECKING, Literal, NamedTuple

from delta.tables import DeltaTable

from steps.errors import UserError
from steps.ingestion.landing import normalised
from steps.lake.tables import path_is_under, table_path
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Key = Literal["file_name", "path", "sha256"]


class Labelled(NamedTuple):
    """What a table of labels did: images newly labelled, relabelled, and what it says twice.

    ``conflicts`` are keys that the table gives different labels, which are left as they were;
    ``unknown`` are keys of no image.
    """

    added: int
    changed: int
    conflicts: list[str]
    unknown: int


def merge_labels(
    spark: "SparkSession", profile: Profile, source: str, table: str, key: Key
) -> Labelled:
    """Give images the labels of a table, in a new version of ``images``.

    Versions before keep the labels that they had, so a training run can be repeated.

    Args:
        spark: the session.
        profile: says where the tables are.
        source: only images below it are labelled.
        table: a CSV file with a header, a Parquet file or folder, or a Delta table, with the
            columns ``label`` and ``key``.
        key: file_name, path or sha256.

    Raises:
        UserError: the table cannot be read or lacks a column.
    """
    from pyspark.sql import functions as F

    given = _read(spark, table, key).groupBy(key).agg(F.collect_set("label").alias("labels"))
    given = given.persist()
    images = DeltaTable.forPath(spark, table_path(profile, "images"))
    here = images.toDF().where(path_is_under(source))
    known = here.select("path", "file_name", "sha256", F.col("label").alias("before"))
    matched = given.where("size(labels) = 1").join(known, key)
    changes = matched.select("path", "sha256", "before", F.col("labels")[0].alias("label")).where(
        "NOT (before <=> label)"
    )
    changes = changes.dropDuplicates(["path", "sha256"]).persist()
    added = changes.where("before IS NULL").count()
    changed = changes.count() - added
    if added or changed:
        (
            images.alias("row")
            .merge(changes.alias("new"), "row.path = new.path AND row.sha256 = new.sha256")
            .whenMatchedUpdate(set={"label": "new.label"})
            .execute()
        )
    conflicts = [row[key] for row in given.where("size(labels) > 1").orderBy(key).collect()]
    unknown = given.join(known, key, "left_anti").count()
    for frame in (given, changes):
        frame.unpersist()
    return Labelled(added, changed, conflicts, unknown)


def _read(spark: "SparkSession", table: str, key: Key) -> "DataFrame":
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    place = normalised(table)
    reader = spark.read
    if DeltaTable.isDeltaTable(spark, place):
        reader = reader.format("delta")
    elif place.lower().endswith((".csv", ".csv.gz")):
        reader = reader.format("csv").option("header", True)
    else:
        reader = reader.format("parquet")
    try:
        labels = reader.load(place)
    except (PySparkException, Py4JJavaError) as error:  # the latter: bytes that are no Parquet
        why = error.getCondition() if isinstance(error, PySparkException) else "damaged"
        raise UserError(
            f"cannot read the labels {table} ({why}); pass -P labels=<CSV file "
            "with a header, Parquet, or Delta table>"
        ) from error
    if missing := {"label", key} - set(labels.columns):
        raise UserError(
            f"{table} has no column {' and '.join(sorted(missing))}, only "
            f"{', '.join(labels.columns)}; name it so, or pass -P labels_by=<file_name, path or "
            "sha256>"
        )
    # a plain path is one on this machine, as the tables write it
    named = f"if({key} LIKE '/%', concat('file:', {key}), {key}) AS {key}"
    return labels.selectExpr(named, "CAST(label AS STRING) AS label").where(
        f"{key} IS NOT NULL AND label IS NOT NULL"
    )
