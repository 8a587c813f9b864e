"""From the landing zone into the tables, a chunk of new files at a time."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession
from pyspark.sql.functions import broadcast
from tqdm import tqdm

from steps.ingestion.duplicates import Duplicates, select_unchanged
from steps.ingestion.file_name import parse_file_name
from steps.ingestion.rows import Rules, build_images, describe_files
from steps.ingestion.tables import IMAGE_TABLES, IMAGES, QUARANTINE, TIME, open_tables
from steps.lake.newest import GetSpark, Newest
from steps.lake.transaction import append_rows
from steps.lake.worker_append import LocalRows, append_by_workers
from steps.landing.arrivals import ARRIVAL, Arrivals, Chunk, Limits
from steps.landing.left_out import SHOWN, printable_path
from steps.landing.listing import LandedFile
from steps.pipeline.disk_space import require_space
from steps.settings.profile import Profile

logger = logging.getLogger(__name__)

MAX_CLOCK_SKEW = timedelta(hours=1)

UNKNOWN = datetime(1, 1, 1, tzinfo=UTC)
"""The time of names that have none: their files stay in the order of their paths."""


def ingest_files(
    spark: GetSpark,
    profile: Profile,
    files: list[LandedFile],
    rules: Rules,
    limits: Limits,
    may_write: Callable[[], None] = lambda: None,
) -> int:
    """Ingest the new files of a landing zone into the tables, and mark duplicates at the end.

    Each file ends in ``images`` or in ``quarantine`` once: it is recorded in one chunk, whose name
    is the transaction under which Delta commits its rows. So the next call completes an
    interrupted one.

    Args:
        spark: returns the session; called if there is something to do.
        profile: names the lake.
        files: the landing zone's files.
        rules: how they become rows.
        limits: of a batch.
        may_write: raises if this run no longer holds the lease; called before files are recorded
            and before each chunk.

    Returns:
        the number of files that were new.
    """
    arrivals = Arrivals(profile, rules.source)
    recorded = set(arrivals.recorded())
    if not recorded and (ingested := _read_ingested(spark, profile, rules.source)):
        arrivals.note(ingested)
        recorded = set(ingested)
    new = [file for file in files if file not in recorded]
    sizes = {(file.path, file.bytes) for file in recorded} if new else set()
    touched = [file for file in new if (file.path, file.bytes) in sizes]
    # a copy may have another time
    unchanged = select_unchanged(spark(), profile, touched, rules) if touched else set()
    new = [file for file in new if file not in unchanged]
    require_space(profile.lake, sum(file.bytes for file in new), "the new images")
    may_write()
    if unchanged:
        arrivals.note(sorted(unchanged))
    arrivals.record(sorted(new, key=partial(_taken_at, rules=rules)), limits)
    rewritten = not {file.path for file in recorded}.isdisjoint(file.path for file in new)
    duplicates = Duplicates(spark, profile, arrivals.home, rewritten)
    if not arrivals.has_pending() and not duplicates.are_pending():
        return 0
    open_tables(spark, profile)
    session = spark()
    with (
        tqdm(total=len(new), unit=" files", desc="ingest", mininterval=1, disable=None) as bar,
        duplicates,
    ):

        def process(chunk: Chunk) -> None:
            _write_chunk(session, profile, chunk, rules, duplicates)
            bar.update(len(chunk.files))

        arrivals.process_pending(process, may_write)
    arrivals.mark_done()  # after duplicates are marked
    return len(new)


def _read_ingested(spark: GetSpark, profile: Profile, source: str) -> list[LandedFile]:
    """Return a landing zone's files from the tables, in case their log was lost."""
    schema = pa.schema({"path": pa.string(), "bytes": pa.int64(), "modified_at": TIME})
    here = pc.starts_with(pc.field("path"), f"{source}/")
    return [
        LandedFile(row["path"], row["bytes"], row["modified_at"].astimezone(UTC))
        for table in IMAGE_TABLES
        if (newest := Newest(table, profile, spark)).exists
        for row in newest.rows(schema, here).to_pylist()
    ]


def _taken_at(file: LandedFile, rules: Rules) -> datetime:
    """Return the time in a file's name, by which the images of a day are in few chunks.

    Each chunk has data files of each of its days. Folders that are named by a hash would have some
    of each day in each chunk.
    """
    named = parse_file_name(file.path, rules.source, rules.pattern, rules.has_splits)
    return named.captured_at or UNKNOWN


def _write_chunk(
    spark: SparkSession, profile: Profile, chunk: Chunk, rules: Rules, duplicates: Duplicates
) -> None:
    """Append a chunk's images to ``images``, and its other files to ``quarantine``."""
    name, _, files = chunk
    arrived, build = LocalRows(spark, files, ARRIVAL), partial(build_images, rules=rules)
    place, keys = IMAGES.path(profile), ("path", "sha256")
    if appended := append_by_workers(arrived, build, IMAGES, place, name, keys):
        images = dict(appended.keys)
        duplicates.add(images, appended.version)
        remaining = [file for file in files if file.path not in images]
    else:
        duplicates.add_unknown()
        remaining = _exclude_ingested(spark, profile, chunk)
    if remaining:
        # few; and a file may be readable now that was still being written before
        described = describe_files(spark.createDataFrame(remaining, ARRIVAL), rules).persist()
        readable = described.where("reason IS NULL")
        refused = described.where("reason IS NOT NULL")
        append_rows(refused, QUARANTINE.path(profile), name)
        for path, reason in refused.select("path", "reason").limit(SHOWN).collect():
            shown = printable_path(path.removeprefix("file:"))
            logger.warning("%s goes to quarantine: %s", shown, reason)
        if not readable.isEmpty():
            append_rows(readable, place, f"{name} again")
            duplicates.add_unknown()
        described.unpersist()


def _exclude_ingested(spark: SparkSession, profile: Profile, chunk: Chunk) -> list[LandedFile]:
    files = broadcast(spark.createDataFrame(chunk.files, ARRIVAL).select("path", "modified_at"))
    since = (chunk.recorded_at - MAX_CLOCK_SKEW).isoformat()
    found: set[tuple[str, datetime]] = set()
    for table in IMAGE_TABLES:
        rows = (
            table.read(spark, profile)
            # lets Delta skip older files by the statistics in its log
            .where(f"ingested_at >= timestamp '{since}'")
            .select("path", "modified_at")
            .join(files, ["path", "modified_at"])
        )
        found.update((path, time.astimezone(UTC)) for path, time in rows.collect())
    return [file for file in chunk.files if (file.path, file.modified_at) not in found]
