"""How devices are, from the status files in a landing zone into ``devices``: a row a device."""

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from edge.protocol.landing_names import STATUS, status_name
from steps.ingestion.landing import files_below, read
from steps.ingestion.parsing import DAMAGE, moment, optional, text, whole
from steps.ingestion.rows import FUTURE
from steps.lake.tables import open_table
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)


def take_in_status(spark: "SparkSession", profile: Profile, source: str, run_id: str) -> int:
    """Bring ``devices`` up to date; returns how many devices have said something new.

    A device replaces its one status file, so what it says is compared by its time, and taking a
    file in twice changes nothing. Earlier rows are in the table's earlier versions.
    """
    stated = [row for row in map(_status, files_below(source, STATUS, ".json")) if row]
    if not stated:
        return 0
    table = open_table(spark, profile, "devices")
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


def _status(file) -> dict[str, Any] | None:
    """A status file's row; None where it is none, which the next one will mend."""
    try:
        row = row_of(json.loads(read(file.path)))
        if not file.path.endswith(f"/{status_name(row['device_id'])}"):
            raise ValueError(f"it is of {row['device_id']}")
        return row
    except (OSError, *DAMAGE) as error:
        logger.warning("%s is no device's status: %s: %s", file.path, type(error).__name__, error)
        return None


def row_of(said: dict[str, Any]) -> dict[str, Any]:
    """A row of ``devices`` from what ``edge.agent.status`` says; raises what is wrong with it."""
    reported_at = moment(said["reported_at"])
    if reported_at > datetime.now(UTC) + FUTURE:
        raise ValueError(f"it is from the future, {reported_at}")
    queue, counts = said["queue"], said["counts"]
    return {
        "device_id": text(said["device"]),
        "view": text(said["view"]),
        "reported_at": reported_at,
        "started_at": moment(said["started_at"]),
        "healthy": bool(said["healthy"]),
        "model": optional(said["model"], text),
        "model_version": optional(said["model_version"], text),
        "release": optional(said["release"], whole, 32),
        "on_probation": bool(said["on_probation"]),
        "camera": text(said["camera"]),
        "camera_restarts": whole(said["camera_restarts"], 32),
        "frames": whole(said["frames"]),
        "last_frame_at": optional(said["last_frame_at"], moment),
        "images_waiting": whole(queue["images"]),
        "bytes_waiting": whole(queue["bytes"]),
        "results_waiting": whole(said["results"]["unsent"]),
        "images_sent": whole(counts.get("sent", 0)),
        "images_dropped": whole(counts.get("dropped", 0)),
        "results_dropped": whole(counts.get("results_dropped", 0)),
        "temperature": optional(said["temperature"], float),
        "memory_megabytes": float(said["memory_megabytes"]),
        "free_megabytes": float(said["free_megabytes"]),
        "model_failure": optional(said["model_failure"], text),
        "landing_failure": optional(said["landing_failure"], text),
        "health_issues": [text(one) for one in said["health_issues"]],
        "throttling": [text(one) for one in said["throttling"] or ()],
        "troubles": [(text(item["at"]), text(item["message"])) for item in said["recent_errors"]],
    }
