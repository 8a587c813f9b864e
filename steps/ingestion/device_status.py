"""Ingests the status files of a landing zone into ``devices``, one row per device."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import SparkSession

from edge.protocol.landing_names import STATUS, status_name
from steps.ingestion.exif import FUTURE
from steps.ingestion.landing import LandedFile, list_files, read
from steps.ingestion.parsing import PARSE_ERRORS, parse_row
from steps.ingestion.tables import DEVICES
from steps.settings.profile import Profile

logger = logging.getLogger(__name__)


def ingest_status(spark: SparkSession, profile: Profile, source: str, run_id: str) -> int:
    """Update ``devices``; return how many devices have a newer status.

    A device replaces its one status file, so statuses are compared by their time, and ingesting a
    file twice changes nothing. Earlier rows are in the table's earlier versions.

    Args:
        spark: the session.
        profile: locates the tables.
        source: the landing zone.
        run_id: of the run that ingests the files.
    """
    files = list_files(source, STATUS, ".json")
    rows = [row for file in files if (row := _read_status(file, run_id))]
    if not rows:
        return 0
    table = DEVICES.open(spark, profile)
    known = {
        row["device_id"]: row["reported_at"].astimezone(UTC)
        for row in table.toDF().select("device_id", "reported_at").collect()
    }
    new = [row for row in rows if row["reported_at"] > known.get(row["device_id"], _NEVER)]
    if not new:
        return 0
    values = [tuple(row.get(name) for name in table.toDF().columns) for row in new]
    DEVICES.merge(
        spark,
        profile,
        spark.createDataFrame(values, table.toDF().schema),
        "row.device_id = new.device_id",
        lambda into: into.whenMatchedUpdateAll(
            "new.reported_at > row.reported_at"
        ).whenNotMatchedInsertAll(),
    )
    return len(new)


_NEVER = datetime(1, 1, 1, tzinfo=UTC)


def _read_status(file: LandedFile, run_id: str) -> dict[str, Any] | None:
    """Return a status file's row, or None if it is invalid; the device's next file replaces it."""
    try:
        row = parse_status(json.loads(read(file.path)), run_id)
        if not file.path.endswith(f"/{status_name(row['device_id'])}"):
            raise ValueError(f"it belongs to the device {row['device_id']}")
        return row
    except (OSError, *PARSE_ERRORS) as error:
        logger.warning(
            "%s is not a valid device status: %s: %s", file.path, type(error).__name__, error
        )
        return None


def parse_status(status: dict[str, Any], run_id: str) -> dict[str, Any]:
    """Return the row of ``devices`` for a status that ``edge.agent.status`` made.

    Raises:
        PARSE_ERRORS: a value is missing or does not fit its column.
    """
    now, queue, counts = datetime.now(UTC), status["queue"], status["counts"]
    others = {
        "device_id": status["device"],
        "images_waiting": queue["images"],
        "bytes_waiting": queue["bytes"],
        "results_waiting": status["results"]["unsent"],
        "images_sent": counts.get("sent", 0),
        "images_dropped": counts.get("dropped", 0),
        "results_dropped": counts.get("results_dropped", 0),
        "throttling": status["throttling"] or [],
        "ingested_at": now.isoformat(),
        "ingest_run_id": run_id,
    }
    row = parse_row(status | others, DEVICES)
    if row["reported_at"] > now + FUTURE:
        raise ValueError(f"its time {row['reported_at']} is in the future")
    return row
