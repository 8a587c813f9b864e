"""The stream from the landing zone into the tables."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tqdm import tqdm

from steps.ingestion.arrivals import ARRIVAL, Arrivals, Limits, not_among
from steps.ingestion.duplicates import Copies
from steps.ingestion.image_files import ADDED, data_file_writer
from steps.ingestion.landing import LandedFile
from steps.ingestion.rows import DESCRIBED, Rules, describer
from steps.lake.tables import open_table, path_is_under, table_path
from steps.lake.transaction import Append, append_rows
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

logger = logging.getLogger(__name__)

TABLES = ("images", "quarantine")
CLOCKS_DIFFER = timedelta(hours=1)


def take_in(
    spark: "SparkSession",
    profile: Profile,
    files: list[LandedFile],
    rules: Rules,
    limits: Limits,
    may_write: Callable[[], None] = lambda: None,
) -> int:
    """Note what is new among the files of a landing zone, and stream it into the tables.

    Each file ends in ``images`` or in ``quarantine``, once: it is noted in one chunk, and a
    chunk's name is the transaction under which Delta takes its rows. So a call that is cut off
    anywhere is completed by the next one, even where the stream's checkpoint is lost. At the
    end, copies are marked.

    Args:
        spark: the session.
        profile: says where the tables are.
        files: the landing zone's files.
        rules: how they become rows.
        limits: of a batch.
        may_write: raises where somebody else is at the ledger; asked before anything is noted,
            and before each chunk.

    Returns:
        The number of files that were new.
    """
    arrivals = Arrivals(profile, rules.source)
    noted = set(arrivals.noted())
    if not noted and (known := _in_the_tables(spark, profile, rules.source)):
        arrivals.know(known)
        noted = set(known)
    new = not_among(files, noted)
    may_write()
    arrivals.note(new, limits)
    rewritten = not {path for path, *_ in noted}.isdisjoint(file.path for file in new)
    copies = Copies(spark, profile, arrivals.home, rewritten)
    if not arrivals.has_pending() and not copies.are_unmarked():
        return 0  # without a word to Spark, as what keeps looking does so every second
    open_tables(spark, profile)
    with (
        tqdm(total=len(new), unit=" files", desc="ingest", mininterval=1, disable=None) as bar,
        copies,
    ):

        def take(rows: list["Row"]) -> None:
            may_write()
            _write_chunk(spark, profile, rows, rules, copies)
            bar.update(len(rows))

        arrivals.stream(spark, take)
    arrivals.settle()  # after the copies are marked
    return len(new)


def open_tables(spark: "SparkSession", profile: Profile) -> None:
    """Make the tables that images are taken into, where they do not exist."""
    for name in TABLES:
        open_table(spark, profile, name)


def _in_the_tables(spark: "SparkSession", profile: Profile, source: str) -> list[LandedFile]:
    """What a lake whose ledger is lost holds of a landing zone."""
    from delta.tables import DeltaTable

    return [
        LandedFile(row["path"], row["bytes"], row["modified_at"].astimezone(UTC))
        for name in TABLES
        if DeltaTable.isDeltaTable(spark, table_path(profile, name))
        for row in spark.read.format("delta")
        .load(table_path(profile, name))
        .where(path_is_under(source))
        .select("path", "bytes", "modified_at")
        .collect()
    ]


def _write_chunk(
    spark: "SparkSession", profile: Profile, rows: list["Row"], rules: Rules, copies: Copies
) -> None:
    """Append a chunk's images to ``images``, and what is left over to ``quarantine``."""
    chunk, noted_at = rows[0]["file_name"], rows[0]["file_modification_time"]
    files = [(row["path"], row["bytes"], row["modified_at"]) for row in rows]
    images = _append_images(spark, profile, files, rules, chunk, copies)
    if images is None:
        copies.unknown()
        left_over = _not_in_the_tables(spark, profile, files, noted_at)
    else:
        left_over = [file for file in files if file[0] not in images]
    if left_over:
        # few, and by now one may be readable that was still being written
        described = _describe(spark, left_over, rules).persist()
        readable = described.where("reason IS NULL")
        _append(described.where("reason IS NOT NULL"), spark, profile, "quarantine", chunk)
        if not readable.isEmpty():
            _append(readable, spark, profile, "images", f"{chunk} again")
            copies.unknown()
        described.unpersist()


def _append_images(
    spark: "SparkSession",
    profile: Profile,
    files: list[tuple],
    rules: Rules,
    chunk: str,
    copies: Copies,
) -> dict[str, str] | None:
    """Append those files that are images; returns their sha256 by path, None where it is not
    known which they were."""
    table = table_path(profile, "images")
    append = Append(spark, table, chunk)
    if not append.possible:
        described = _describe(spark, files, rules)
        _append(described.where("reason IS NULL"), spark, profile, "images", chunk)
        return None
    if append.done:
        return None
    arrived = spark.createDataFrame(files, ARRIVAL)
    added = arrived.mapInArrow(data_file_writer(rules, table), ADDED).collect()
    images = {path: sha256 for row in added for path, sha256 in row["images"].items()}
    version = append.commit([row["action"] for row in added], len(images))
    copies.taken_in(images, version)
    return images


def _describe(spark: "SparkSession", files: list[tuple], rules: Rules) -> "DataFrame":
    return spark.createDataFrame(files, ARRIVAL).mapInArrow(describer(rules), DESCRIBED)


def _append(
    rows: "DataFrame", spark: "SparkSession", profile: Profile, name: str, transaction: str
) -> None:
    """Append to a table, once for each transaction, however often it is tried."""
    table = table_path(profile, name)
    columns = spark.read.format("delta").load(table).columns
    append_rows(rows.select(*columns), table, transaction)


def _not_in_the_tables(
    spark: "SparkSession", profile: Profile, files: list[tuple], noted_at: datetime
) -> list[tuple]:
    from pyspark.sql.functions import broadcast

    chunk = broadcast(spark.createDataFrame(files, ARRIVAL).select("path", "modified_at"))
    since = (noted_at - CLOCKS_DIFFER).astimezone(UTC).isoformat()
    found: set[tuple] = set()
    for name in TABLES:
        rows = (
            spark.read.format("delta")
            .load(table_path(profile, name))
            # by the statistics in its log, Delta leaves out the files that are older
            .where(f"ingested_at >= timestamp '{since}'")
            .select("path", "modified_at")
            .join(chunk, ["path", "modified_at"])
        )
        found.update(map(tuple, rows.collect()))
    return [file for file in files if (file[0], file[2]) not in found]
