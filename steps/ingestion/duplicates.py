"""Which rows hold bytes that were ingested before, or those of a file that was rewritten since."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from operator import methodcaller

import fsspec
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.functions import broadcast

from edge.inference.errors import UnreadableError
from steps.ingestion.rows import Rules
from steps.ingestion.tables import IMAGE_TABLES, IMAGES
from steps.lake.newest import GetSpark
from steps.landing.arrivals import ARRIVAL
from steps.landing.listing import LandedFile
from steps.landing.place import read
from steps.settings.profile import Profile

MAX_HASHES = 200_000
"""In the memory of the driver."""

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
"""  # noqa: S608  no value of a user is in it
"""One pass over narrow columns. Rows of ``quarantine`` are never duplicates of each other."""

MARKED = "row.path = new.path AND row.ingested_at = new.ingested_at"

UNCHANGED = """
SELECT path FROM (
    SELECT /*+ BROADCAST(hashes) */ path, found, max_by(sha256, ingested_at) AS newest FROM (
        SELECT path, sha256, ingested_at FROM images
        UNION ALL SELECT path, uuid(), ingested_at FROM quarantine)
    JOIN hashes USING (path) GROUP BY path, found)
WHERE found = newest
"""


def mark_duplicates(spark: SparkSession, profile: Profile) -> None:
    """Set ``duplicate_of`` and ``replaced_at`` in rows that lack them.

    ``duplicate_of`` is the path under which the same bytes came first. ``replaced_at`` is the time
    at which a file's newer bytes were ingested, into either table: rows without it describe the
    landing zone as it is now. A call that finds nothing to mark writes nothing.
    """
    for table in IMAGE_TABLES:
        table.read(spark, profile).createOrReplaceTempView(table.name)
    marks = spark.sql(MARKS).persist()
    try:
        marked = {row["here"] for row in marks.select("here").distinct().collect()}
        for table in IMAGE_TABLES:
            columns = {"replaced_at": "new.newer"}
            if table is IMAGES:
                columns["duplicate_of"] = "new.original"
            if table.name in marked:
                rows = marks.where(f"here = '{table.name}'")
                mark = methodcaller("whenMatchedUpdate", set=columns)
                table.merge(spark, profile, rows, MARKED, mark)
    finally:
        marks.unpersist()


def select_unchanged(
    spark: SparkSession, profile: Profile, files: list[LandedFile], rules: Rules
) -> set[LandedFile]:
    """Return the files of which the newest row of their path, if it is an image, has the bytes."""
    if not files or not all(table.exists(spark, profile) for table in IMAGE_TABLES):
        return set()
    for table in IMAGE_TABLES:
        table.create_view(spark, profile)
    found = spark.createDataFrame(files, ARRIVAL).mapInArrow(
        partial(_hash, rules=rules), "path STRING, found STRING"
    )
    found.createOrReplaceTempView("hashes")
    unchanged = {row["path"] for row in spark.sql(UNCHANGED).collect()}
    return {file for file in files if file.path in unchanged}


def _hash(batches: Iterator[pa.RecordBatch], rules: Rules) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        hashes = {}
        for path in batch["path"].to_pylist():
            with suppress(
                OSError, UnreadableError
            ):  # what cannot be read is described as any new file is
                stored = rules.stored(path, read(path))
                hashes[path] = hashlib.sha256(stored).hexdigest()
        yield pa.RecordBatch.from_pydict({"path": [*hashes], "found": [*hashes.values()]})


class Duplicates:
    """The duplicates among the files of one call, marked at its end.

    Most calls bring none, and two cheap checks show this: no file was recorded before, and the
    new hashes have as many rows as there are new images. All rows are compared only if a check
    fails, if the new images are unknown, or if they are more than the driver should hold. A
    marker file outlives an interrupted call, so that the next one compares all rows.

    Example::

        with Duplicates(spark, profile, arrivals.home, rewritten=False) as duplicates:
            duplicates.add({"file:/a.jpg": "5feceb66"}, version=7)
    """

    def __init__(self, spark: GetSpark, profile: Profile, home: str, rewritten: bool):
        self._spark, self._profile = spark, profile
        self._filesystem, folder = fsspec.core.url_to_fs(home)
        self._marker = f"{folder}/duplicates_pending"
        self._filesystem.invalidate_cache(folder)
        self._likely = rewritten or self.are_pending()
        self._hashes: set[str] = set()
        self._appends = 0
        self._all_known = True

    def are_pending(self) -> bool:
        """Return whether an interrupted call may have left duplicates unmarked."""
        return bool(self._filesystem.exists(self._marker))

    def add(self, images: dict[str, str], version: int) -> None:
        """Add images, sha256 by path, that an append wrote as a version of ``images``."""
        self._appends += 1
        # version 0 has no rows: if each append made the next version, all rows are known
        self._all_known &= version == self._appends
        hashes = set(images.values())
        self._likely |= len(hashes) < len(images) or not hashes.isdisjoint(self._hashes)
        self._hashes |= hashes
        if len(self._hashes) > MAX_HASHES:
            self.add_unknown()

    def add_unknown(self) -> None:
        """Have all rows compared: some of the new ones are unknown."""
        self._likely = True
        self._hashes.clear()

    def __enter__(self) -> "Duplicates":
        self._filesystem.pipe_file(self._marker, b"")
        return self

    def __exit__(self, failed: type | None, *_: object) -> None:
        if failed:
            return
        if self._likely or self._have_earlier_rows():
            mark_duplicates(self._spark(), self._profile)
        self._filesystem.rm_file(self._marker)

    def _have_earlier_rows(self) -> bool:
        if self._all_known or not self._hashes:
            return False
        spark = self._spark()
        new = spark.createDataFrame([(sha256,) for sha256 in self._hashes], "sha256 STRING")
        images = IMAGES.read(spark, self._profile)
        rows = images.select("sha256").join(broadcast(new), "sha256", "left_semi")
        return bool(rows.count() > len(self._hashes))
