"""Which rows are copies: of bytes that came before, or of a file that was rewritten since."""

from typing import TYPE_CHECKING

import fsspec

from steps.lake.tables import table_path
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MOST_HELD = 200_000
"""Hashes that the driver holds."""

ORDER = "ORDER BY ingested_at, modified_at, path"

MARKS = f"""
SELECT here, path, ingested_at, original, newer FROM (
    SELECT *,
        nullif(first(path) OVER (PARTITION BY here, sha256 {ORDER}), path) AS original,
        lead(ingested_at) OVER (PARTITION BY path {ORDER}) AS newer
    FROM (
        SELECT 'images' AS here, path, sha256, ingested_at, modified_at, replaced_at, duplicate_of
        FROM images
        UNION ALL
        SELECT 'quarantine', path, uuid(), ingested_at, modified_at, replaced_at, NULL
        FROM quarantine))
WHERE original IS NOT NULL AND duplicate_of IS NULL OR newer IS NOT NULL AND replaced_at IS NULL
"""
"""One pass over narrow columns. What is in quarantine has no duplicates, whatever its bytes."""


def mark_copies(spark: "SparkSession", profile: Profile) -> None:
    """Set ``duplicate_of`` and ``replaced_at`` where they are not set yet.

    ``duplicate_of`` is the path under which the same bytes came first. ``replaced_at`` is when a
    file's newer bytes were taken in, into either table: rows without it say what is in the
    landing zone now. A call that finds nothing to mark writes nothing.
    """
    from delta.tables import DeltaTable

    tables = {
        name: DeltaTable.forPath(spark, table_path(profile, name))
        for name in ("images", "quarantine")
    }
    for name, table in tables.items():
        table.toDF().createOrReplaceTempView(name)
    marks = spark.sql(MARKS).persist()
    try:
        for row in marks.select("here").distinct().collect():
            columns = {"replaced_at": "mark.newer"}
            if row["here"] == "images":
                columns["duplicate_of"] = "mark.original"
            (
                tables[row["here"]]
                .alias("row")
                .merge(
                    marks.where(f"here = '{row['here']}'").alias("mark"),
                    "row.path = mark.path AND row.ingested_at = mark.ingested_at",
                )
                .whenMatchedUpdate(set=columns)
                .execute()
            )
    finally:
        marks.unpersist()


class Copies:
    """The copies among what a call takes in, marked at its end.

    Most calls bring none, and two cheap questions tell: whether a file was there before, which
    the ledger knows, and whether as many rows have the new hashes as there are new images. All
    rows are looked at only where there are copies, and where it is not known what came in or more
    did than the driver should hold. A note beside the ledger outlives a call that is cut off, so
    that the next one looks at all of them.

    Example::

        with Copies(spark, profile, arrivals.home, rewritten=False) as copies:
            copies.taken_in({"file:/a.jpg": "5feceb66"}, version=7)
    """

    def __init__(self, spark: "SparkSession", profile: Profile, home: str, rewritten: bool):
        self._spark, self._profile = spark, profile
        self._filesystem, folder = fsspec.core.url_to_fs(home)
        self._note = f"{folder}/unmarked"
        self._filesystem.invalidate_cache(folder)
        self._likely = rewritten or self.are_unmarked()
        self._hashes: set[str] = set()
        self._appends = 0
        self._alone = True

    def are_unmarked(self) -> bool:
        """Whether a call that was cut off left some."""
        return self._filesystem.exists(self._note)

    def taken_in(self, images: dict[str, str], version: int) -> None:
        """Say which images came in, sha256 by path, and which version of ``images`` they made."""
        self._appends += 1
        # a table's first version has no rows: where each append made the next, all rows are known
        self._alone &= version == self._appends
        hashes = set(images.values())
        self._likely |= len(hashes) < len(images) or not hashes.isdisjoint(self._hashes)
        self._hashes |= hashes
        if len(self._hashes) > MOST_HELD:
            self.unknown()

    def unknown(self) -> None:
        """Say that more has come in than is known."""
        self._likely = True
        self._hashes.clear()

    def __enter__(self) -> "Copies":
        self._filesystem.pipe_file(self._note, b"")
        return self

    def __exit__(self, failed: type | None, *_: object) -> None:
        if failed:
            return
        if self._likely or self._came_before():
            mark_copies(self._spark, self._profile)
        self._filesystem.rm_file(self._note)

    def _came_before(self) -> bool:
        from pyspark.sql.functions import broadcast

        if self._alone or not self._hashes:
            return False
        new = self._spark.createDataFrame([(sha256,) for sha256 in self._hashes], "sha256 STRING")
        images = self._spark.read.format("delta").load(table_path(self._profile, "images"))
        rows = images.select("sha256").join(broadcast(new), "sha256", "left_semi")
        return rows.count() > len(self._hashes)
