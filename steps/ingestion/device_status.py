"""How devices are, from the status files in a landing zone into ``devices``: a row a device."""

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from edge.protocol.landing_names import STATUS, status_name
from steps.ingestion.landing import LandedFile, list_files, read
from steps.ingestion.parsing import PARSE_ERRORS, parse_int, parse_optional, parse_str, parse_utc
from steps.ingestion.rows import FUTURE
from steps.ingestion.tables import DEVICES
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)


def ingest_status(spark: "SparkSession", profile: Profile, source: str, run_id: str) -> int:
    """Bring ``devices`` up to date; returns how many devices have said something new.

    A device replaces its one status file, so what it says is compared by its time, and taking a
    file in twice changes nothing. Earlier rows are in the table's earlier versions.
    """
    stated = [row for row in map(_status, list_files(source, STATUS, ".json")) if row]
    if not stated:
        return 0
    table = DEVICES.open(spark, profile)
    known = {
        row["device_id"]: row["reported_at"].astimezone(UTC)
        for row in table.toDF().select("device_id", "reported_at").collect()
    }
    new = [row for row in stated if row["reported_at"] > known.get(row["device_id"], _EVER)]
    if not new:
        return 0
    noted = {"ingested_at": datetime.now(UTC), "ingest_run_id": run_id}
    values = [tuple((row | noted).get(name) for name in table.toDF().columns) for row in new]
    (
        table.alias("known")
        .merge(
            spark.createDataFrame(values, table.toDF().schema).alias("new"),
            "known.device_id = new.device_id",
        )
        .whenMatchedUpdateAll("new.reported_at > known.reported_at")
        .whenNotMatchedInsertAll()
        .execute()
    )
    return len(new)


_EVER = datetime(1, 1, 1, tzinfo=UTC)


def _status(file: LandedFile) -> dict[str, Any] | None:
    """A status file's row; None where it is none, which the next one will mend."""
    try:
        row = row_of(json.loads(read(file.path)))
        if not file.path.endswith(f"/{status_name(row['device_id'])}"):
            raise ValueError(f"it is of {row['device_id']}")
        return row
    except (OSError, *PARSE_ERRORS) as error:
        logger.warning("%s is no device's status: %s: %s", file.path, type(error).__name__, error)
        return None


def row_of(said: dict[str, Any]) -> dict[str, Any]:
    """A row of ``devices`` from what ``edge.agent.status`` says; raises what is wrong with it."""
    reported_at = parse_utc(said["reported_at"])
    if reported_at > datetime.now(UTC) + FUTURE:
        raise ValueError(f"it is from the future, {reported_at}")
    queue, counts = said["queue"], said["counts"]
    return {
        "device_id": parse_str(said["device"]),
        "view": parse_str(said["view"]),
        "reported_at": reported_at,
        "started_at": parse_utc(said["started_at"]),
        "healthy": bool(said["healthy"]),
        "model": parse_optional(said["model"], parse_str),
        "model_version": parse_optional(said["model_version"], parse_str),
        "release": parse_optional(said["release"], parse_int, 32),
        "on_probation": bool(said["on_probation"]),
        "camera": parse_str(said["camera"]),
        "camera_restarts": parse_int(said["camera_restarts"], 32),
        "frames": parse_int(said["frames"]),
        "last_frame_at": parse_optional(said["last_frame_at"], parse_utc),
        "images_waiting": parse_int(queue["images"]),
        "bytes_waiting": parse_int(queue["bytes"]),
        "results_waiting": parse_int(said["results"]["unsent"]),
        "images_sent": parse_int(counts.get("sent", 0)),
        "images_dropped": parse_int(counts.get("dropped", 0)),
        "results_dropped": parse_int(counts.get("results_dropped", 0)),
        "temperature": parse_optional(said["temperature"], float),
        "memory_megabytes": float(said["memory_megabytes"]),
        "free_megabytes": float(said["free_megabytes"]),
        "model_failure": parse_optional(said["model_failure"], parse_str),
        "landing_failure": parse_optional(said["landing_failure"], parse_str),
        "health_issues": [parse_str(one) for one in said["health_issues"]],
        "throttling": [parse_str(one) for one in said["throttling"] or ()],
        "troubles": [
            (parse_str(item["at"]), parse_str(item["message"])) for item in said["recent_errors"]
        ],
    }
