"""Ingests the status files of a landing zone into ``devices``, one row per device."""

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from edge.protocol.landing_names import STATUS, status_name
from steps.ingestion.exif import FUTURE
from steps.ingestion.landing import LandedFile, list_files, read
from steps.ingestion.parsing import PARSE_ERRORS, parse_int, parse_optional, parse_str, parse_utc
from steps.ingestion.tables import DEVICES
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)


def ingest_status(spark: "SparkSession", profile: Profile, source: str, run_id: str) -> int:
    """Update ``devices``; return how many devices have a newer status.

    A device replaces its one status file, so statuses are compared by their time, and ingesting a
    file twice changes nothing. Earlier rows are in the table's earlier versions.

    Args:
        spark: the session.
        profile: locates the tables.
        source: the landing zone.
        run_id: of the run that ingests the files.
    """
    rows = [row for row in map(_read_status, list_files(source, STATUS, ".json")) if row]
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
    lineage = {"ingested_at": datetime.now(UTC), "ingest_run_id": run_id}
    values = [tuple((row | lineage).get(name) for name in table.toDF().columns) for row in new]
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


def _read_status(file: LandedFile) -> dict[str, Any] | None:
    """Return a status file's row, or None if it is invalid; the device's next file replaces it."""
    try:
        row = parse_status(json.loads(read(file.path)))
        if not file.path.endswith(f"/{status_name(row['device_id'])}"):
            raise ValueError(f"it belongs to the device {row['device_id']}")
        return row
    except (OSError, *PARSE_ERRORS) as error:
        logger.warning(
            "%s is not a valid device status: %s: %s", file.path, type(error).__name__, error
        )
        return None


def parse_status(status: dict[str, Any]) -> dict[str, Any]:
    """Return the row of ``devices`` for a status that ``edge.agent.status`` made.

    Raises:
        PARSE_ERRORS: a value is missing or does not fit its column.
    """
    reported_at = parse_utc(status["reported_at"])
    if reported_at > datetime.now(UTC) + FUTURE:
        raise ValueError(f"its time {reported_at} is in the future")
    queue, counts = status["queue"], status["counts"]
    return {
        "device_id": parse_str(status["device"]),
        "view": parse_str(status["view"]),
        "reported_at": reported_at,
        "started_at": parse_utc(status["started_at"]),
        "healthy": bool(status["healthy"]),
        "model": parse_optional(status["model"], parse_str),
        "model_version": parse_optional(status["model_version"], parse_str),
        "release": parse_optional(status["release"], parse_int, 32),
        "on_probation": bool(status["on_probation"]),
        "camera": parse_str(status["camera"]),
        "camera_restarts": parse_int(status["camera_restarts"], 32),
        "frames": parse_int(status["frames"]),
        "last_frame_at": parse_optional(status["last_frame_at"], parse_utc),
        "images_waiting": parse_int(queue["images"]),
        "bytes_waiting": parse_int(queue["bytes"]),
        "results_waiting": parse_int(status["results"]["unsent"]),
        "images_sent": parse_int(counts.get("sent", 0)),
        "images_dropped": parse_int(counts.get("dropped", 0)),
        "results_dropped": parse_int(counts.get("results_dropped", 0)),
        "temperature_celsius": parse_optional(status["temperature_celsius"], float),
        "memory_megabytes": float(status["memory_megabytes"]),
        "free_megabytes": float(status["free_megabytes"]),
        "model_failure": parse_optional(status["model_failure"], parse_str),
        "landing_failure": parse_optional(status["landing_failure"], parse_str),
        "health_issues": [parse_str(issue) for issue in status["health_issues"]],
        "throttling": [parse_str(warning) for warning in status["throttling"] or ()],
        "recent_errors": [
            (parse_str(error["at"]), parse_str(error["message"]))
            for error in status["recent_errors"]
        ],
    }
