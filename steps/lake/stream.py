"""The stream from the landing zone into the tables."""

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tqdm import tqdm

from steps.lake.arrivals import ARRIVAL, Arrivals, Limits
from steps.lake.data_files import ADDED, data_file_writer
from steps.lake.landing import LandedFile
from steps.lake.rows import DESCRIBED, Rules, describer
from steps.lake.tables import open_table, path_is_under, table_path
from steps.lake.transaction import Append
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

logger = logging.getLogger(__name__)

CLOCKS_DIFFER = timedelta(hours=1)


def take_in(
    spark: "SparkSession",
    profile: Profile,
    files: list[LandedFile],
    rules: Rules,
    limits: Limits,
    unfinished: bool = True,
) -> int:
    """Note what is new among the files of a landing zone, and stream it into the tables.

    Each file ends in ``images`` or in ``quarantine``, once: it is noted in one chunk, and a
    chunk's name is the transaction under which Delta takes its rows. So a call that is cut off
    anywhere is completed by the next one, even where the stream's checkpoint is lost.

    Args:
        spark: the session.
        profile: says where the tables are.
        files: the landing zone's files.
        rules: how they become rows.
        limits: of a batch.
        unfinished: whether a call that was cut off may have left chunks to be taken in.

    Returns:
        The number of files that were new.
    """
    arrivals = Arrivals(profile, rules.source)
    open_table(spark, profile, "images")
    open_table(spark, profile, "quarantine")
    known = () if arrivals.exists() else _in_the_tables(spark, profile, rules.source)
    new = arrivals.new_among(files, known)
    arrivals.note(new, limits)
    if not arrivals.exists() or not (new or unfinished):
        return 0
    with tqdm(total=len(new), unit=" files", desc="ingest", mininterval=1, disable=None) as bar:

        def take(rows: list["Row"]) -> None:
            bar.update(_write_chunk(spark, profile, rows, rules))

        arrivals.stream(spark, take)
    return len(new)


def _in_the_tables(spark: "SparkSession", profile: Profile, source: str) -> list[tuple]:
    """What a lake whose ledger is lost holds of a landing zone."""
    return [
        (row["path"], row["bytes"], row["modified_at"].astimezone(UTC))
        for name in ("images", "quarantine")
        for row in spark.read.format("delta")
        .load(table_path(profile, name))
        .where(path_is_under(source))
        .select("path", "bytes", "modified_at")
        .collect()
    ]


def _write_chunk(spark: "SparkSession", profile: Profile, rows: list["Row"], rules: Rules) -> int:
    """Append a chunk's pictures to ``images``, and what is left over to ``quarantine``."""
    chunk, noted_at = rows[0]["file_name"], rows[0]["file_modification_time"]
    files = [(row["path"], row["bytes"], row["modified_at"]) for row in rows]
    if _append_pictures(spark, profile, files, rules, chunk) == len(files):
        return len(files)
    left_over = _not_in_the_tables(spark, profile, files, noted_at)
    if left_over:
        # few, and by now one may be readable that was still being written
        described = _describe(spark, left_over, rules).persist()
        readable = described.where("reason IS NULL")
        _append(described.where("reason IS NOT NULL"), spark, profile, "quarantine", chunk)
        if not readable.isEmpty():
            _append(readable, spark, profile, "images", f"{chunk} again")
        described.unpersist()
    return len(rows)


def _append_pictures(
    spark: "SparkSession", profile: Profile, files: list[tuple], rules: Rules, chunk: str
) -> int | None:
    """Append those files that are pictures; None where it is not known how many they were."""
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
    rows = sum(row["rows"] for row in added)
    append.commit([row["action"] for row in added], rows)
    return rows


def _describe(spark: "SparkSession", files: list[tuple], rules: Rules) -> "DataFrame":
    return spark.createDataFrame(files, ARRIVAL).mapInArrow(describer(rules), DESCRIBED)


def _append(
    rows: "DataFrame", spark: "SparkSession", profile: Profile, name: str, transaction: str
) -> None:
    """Append to a table, once for each transaction, however often it is tried."""
    table = spark.read.format("delta").load(table_path(profile, name))
    (
        rows.select(*table.columns)
        .write.format("delta")
        .mode("append")
        .option("txnAppId", transaction)
        .option("txnVersion", 1)
        .save(table_path(profile, name))
    )


def _not_in_the_tables(
    spark: "SparkSession", profile: Profile, files: list[tuple], noted_at: datetime
) -> list[tuple]:
    from pyspark.sql.functions import broadcast

    chunk = broadcast(spark.createDataFrame(files, ARRIVAL).select("path", "modified_at"))
    since = (noted_at - CLOCKS_DIFFER).astimezone(UTC).isoformat()
    found: set[tuple] = set()
    for name in ("images", "quarantine"):
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
