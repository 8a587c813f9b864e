"""A second chance for what is in quarantine."""

from typing import TYPE_CHECKING

from delta.tables import DeltaTable

from steps.ingestion.rows import DESCRIBED, Rules, describer
from steps.lake.tables import path_is_under, table_path
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

KEY = "old.path = new.path AND old.modified_at = new.modified_at"


def retry(spark: "SparkSession", profile: Profile, rules: Rules) -> int:
    """Describe the quarantined files of a source again, by the rules of now.

    The bytes are those that were kept; a file that could not be read then is read now. What is
    readable moves to ``images``; it is deleted from ``quarantine`` last, so that a call that is
    cut off is completed by the next.

    Returns:
        The number of files that moved.
    """
    kept = (
        spark.read.format("delta")
        .load(table_path(profile, "quarantine"))
        .where(path_is_under(rules.source))
        .where("replaced_at IS NULL")
        .select("path", "bytes", "modified_at", "content")
    )
    described = kept.mapInArrow(describer(rules), DESCRIBED).where("reason IS NULL").persist()
    try:
        moved = described.count()
        if moved:
            images = DeltaTable.forPath(spark, table_path(profile, "images")).alias("old")
            rows = described.select(*images.toDF().columns).alias("new")
            images.merge(rows, KEY).whenNotMatchedInsertAll().execute()
            quarantine = DeltaTable.forPath(spark, table_path(profile, "quarantine")).alias("old")
            quarantine.merge(rows, KEY).whenMatchedDelete().execute()
        return moved
    finally:
        described.unpersist()
