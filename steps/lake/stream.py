"""The stream from the landing zone into the tables."""

import hashlib
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from steps.lake.file_name import read_name
from steps.lake.landing import SUFFIXES
from steps.lake.picture import Unreadable, describe
from steps.lake.tables import CONTENT, INGESTED, LANDED, PICTURE, QUARANTINED, open_table
from steps.settings.profile import Profile

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

logger = logging.getLogger(__name__)

FILES_A_BATCH = 1000
BINARY_FILE = "path STRING, modificationTime TIMESTAMP, length BIGINT, content BINARY"
DESCRIBED = ", ".join([LANDED, QUARANTINED, INGESTED, PICTURE, CONTENT])


def take_in(
    spark: "SparkSession",
    profile: Profile,
    source: str,
    run_id: str,
) -> None:
    """Stream every new picture below ``source`` into ``images`` or ``quarantine``.

    A file counts as new by the stream's checkpoint, and a row by (path, sha256), so that a
    batch that was cut off and comes again leaves each file once.

    Args:
        spark: the session.
        profile: says where the tables are and what the names look like.
        source: the landing zone as ``landing.look`` gives it.
        run_id: the run that takes the pictures in.
    """
    images = open_table(spark, profile, "images")
    quarantine = open_table(spark, profile, "quarantine")
    describe_batch = _describer(source, profile.file_name, run_id, datetime.now(UTC))

    def write(batch: "DataFrame", number: int) -> None:
        # read by both merges: without it each picture would be decoded twice
        described = batch.mapInArrow(describe_batch, DESCRIBED).persist()
        try:
            _merge(images, described.where("reason IS NULL").drop("reason", "error"))
            columns = quarantine.toDF().columns
            _merge(quarantine, described.where("reason IS NOT NULL").select(*columns))
        finally:
            described.unpersist()
        logger.info("batch %d is in the tables", number + 1)

    suffixes = "|".join(suffix.removeprefix(".") for suffix in SUFFIXES)
    either_case = re.sub("[a-z]", lambda letter: f"[{letter[0]}{letter[0].upper()}]", suffixes)
    (
        spark.readStream.format("binaryFile")
        .schema(BINARY_FILE)
        .option("recursiveFileLookup", "true")
        .option("pathGlobFilter", f"*.{{{either_case.replace('|', ',')}}}")
        .option("maxFilesPerTrigger", FILES_A_BATCH)
        .load(source)
        .writeStream.trigger(availableNow=True)
        .option("checkpointLocation", _checkpoint(profile, source))
        .foreachBatch(write)
        .start()
        .awaitTermination()
    )


def _checkpoint(profile: Profile, source: str) -> str:
    return f"{profile.lake}/_checkpoints/ingest/{hashlib.sha256(source.encode()).hexdigest()[:16]}"


def _merge(table: Any, rows: "DataFrame") -> None:
    same = "old.path = new.path AND old.sha256 = new.sha256"
    table.alias("old").merge(rows.alias("new"), same).whenNotMatchedInsertAll().execute()


def _describer(source: str, pattern: str, run_id: str, now: datetime) -> Callable:
    """The function that Spark's workers run over batches of files."""

    from pyspark.sql.pandas.types import to_arrow_schema
    from pyspark.sql.types import StructType

    schema = to_arrow_schema(StructType.fromDDL(DESCRIBED))

    def describe_batches(
        batches: Iterator["pa.RecordBatch"],
    ) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa

        for batch in batches:
            rows = [
                _row(file, source, pattern) | {"ingested_at": now, "ingest_run_id": run_id}
                for file in batch.to_pylist()
            ]
            yield pa.RecordBatch.from_pylist(rows, schema=schema)

    return describe_batches


def _row(file: dict[str, Any], source: str, pattern: str) -> dict[str, Any]:
    content = file["content"]
    row = {
        "path": file["path"],
        "file_name": PurePosixPath(file["path"]).name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": file["length"],
        "modified_at": file["modificationTime"],
        "content": content,
    }
    try:
        picture = describe(content)
    except Unreadable as error:
        return row | {"reason": error.reason, "error": str(error)}
    named = read_name(file["path"], source, pattern)
    captured_at = named.captured_at or picture.pop("exif_captured_at")
    picture.pop("exif_captured_at", None)
    return (
        row
        | picture
        | {
            "captured_at": captured_at,
            "date": captured_at.date() if captured_at else None,
            "device_id": named.device_id,
            "view": named.view,
            "label": named.label,
        }
    )
