"""Ingests the status files of a landing zone into ``devices``, one row per device."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from edge.protocol.landing_names import STATUS, status_name
from steps.ingestion.exif import FUTURE
from steps.ingestion.parsing import PARSE_ERRORS, parse_row
from steps.ingestion.tables import DEVICES, TIME
from steps.lake.newest import GetSpark, Newest
from steps.landing.listing import LandedFile, list_files
from steps.landing.place import read
from steps.settings.profile import Profile

logger = logging.getLogger(__name__)


def ingest_status(spark: GetSpark, profile: Profile, source: str, run_id: str) -> int:
    """Update ``devices``; return how many devices have a newer status.

    A device replaces its one status file, so statuses are compared by their time, and ingesting a
    file twice changes nothing. Earlier rows are in the table's earlier versions.

    Args:
        spark: returns the session; called if a device has a newer status.
        profile: locates the tables.
        source: the landing zone.
        run_id: of the run that ingests the files.
    """
    files = list_files(source, STATUS, ".json")
    rows = [row for file in files if (row := _read_status(file, run_id))]
    if not rows:
        return 0
    known = _read_times(Newest(DEVICES, profile, spark))
    new = [row for row in rows if row["reported_at"] > known.get(row["device_id"], _NEVER)]
    if not new:
        return 0
    session = spark()
    table = DEVICES.open(session, profile).toDF()
    values = [tuple(row.get(name) for name in table.columns) for row in new]
    DEVICES.merge(
        session,
        profile,
        session.createDataFrame(values, table.schema),
        "row.device_id = new.device_id",
        lambda into: into.whenMatchedUpdateAll(
            "new.reported_at > row.reported_at"
        ).whenNotMatchedInsertAll(),
    )
    return len(new)


_NEVER = datetime(1, 1, 1, tzinfo=UTC)


def _read_times(devices: Newest) -> dict[str, datetime]:
    """Return the time of each device's newest status, by its ID."""
    if not devices.exists:
        return {}
    schema = pa.schema({"device_id": pa.string(), "reported_at": TIME})
    rows = devices.rows(schema, pc.field("device_id").is_valid())
    times = (time.astimezone(UTC) for time in rows["reported_at"].to_pylist())
    return dict(zip(rows["device_id"].to_pylist(), times, strict=True))


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
        "agent_version": status.get("agent_version"),  # those before 0.1.0 sent none
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
