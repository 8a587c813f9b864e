"""The tables that ingest fills, and what selects the rows of a landing zone.

Long columns stand last, after the ones that Delta indexes.
"""

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from steps.errors import RunStep, UserError
from steps.lake.table import Table

if TYPE_CHECKING:
    from steps.lake.newest import GetSpark, Newest
    from steps.settings.profile import Profile  # which the workers need not import

LANDED = """
    path STRING,
    file_name STRING,
    sha256 STRING,
    bytes BIGINT,
    modified_at TIMESTAMP,
    replaced_at TIMESTAMP
"""

METADATA = """
    captured_at TIMESTAMP,
    captured_from STRING,
    utc_offset_minutes INT,
    date DATE,
    device_id STRING,
    view STRING,
    label STRING,
    label_from STRING,
    split STRING,
    duplicate_of STRING,
    format STRING,
    mode STRING,
    width INT,
    height INT,
    oriented_width INT,
    oriented_height INT,
    dpi DOUBLE,
    camera_make STRING,
    camera_model STRING,
    exposure_seconds DOUBLE,
    iso INT,
    entropy DOUBLE,
    gps STRUCT<latitude: DOUBLE, longitude: DOUBLE, altitude: DOUBLE>,
    exif_error STRING,
    statistics ARRAY<STRUCT<band: STRING, mean: DOUBLE, median: DOUBLE, stddev: DOUBLE,
        min: INT, max: INT>>,
    histogram ARRAY<ARRAY<INT>>,
    exif MAP<STRING, STRING>
"""

QUARANTINED = "reason STRING, error STRING"

INGESTED = "ingested_at TIMESTAMP, ingest_run_id STRING"

CONTENT = "content BINARY"

DESCRIBED = ", ".join([LANDED, QUARANTINED, INGESTED, METADATA, CONTENT])
"""The columns of both tables: an arrived file belongs into the one or the other."""

IMAGES = Table(
    "images",
    f"{LANDED}, {INGESTED}, {METADATA}, {CONTENT}",
    indexed=19,
    partitioned_by=("date",),
    long=("statistics", "histogram", "exif", "content"),
    rows_at_once=8,  # with the default of 1024, writing takes three times as long
)

QUARANTINE = Table("quarantine", f"{LANDED}, {QUARANTINED}, {INGESTED}, {CONTENT}", indexed=10)

BY_DEVICE = "edge:"
"""With the device's ID, ``scored_by`` of an answer that a device gave."""

SCORES = Table(
    "scores",
    """
    path STRING,
    sha256 STRING,
    model STRING,
    model_version STRING,
    label STRING,
    score DOUBLE,
    latency_ms DOUBLE,
    reason STRING,
    scored_by STRING,
    scored_at TIMESTAMP,
    score_run_id STRING,
    probabilities MAP<STRING, DOUBLE>
    """,
    indexed=11,
    long=("probabilities",),
)

DEVICES = Table(
    "devices",
    """
    device_id STRING,
    view STRING,
    agent_version STRING,
    reported_at TIMESTAMP,
    started_at TIMESTAMP,
    healthy BOOLEAN,
    model STRING,
    model_version STRING,
    release INT,
    on_probation BOOLEAN,
    camera STRING,
    camera_restarts INT,
    frames BIGINT,
    last_frame_at TIMESTAMP,
    images_waiting BIGINT,
    bytes_waiting BIGINT,
    results_waiting BIGINT,
    images_sent BIGINT,
    images_dropped BIGINT,
    results_dropped BIGINT,
    temperature_celsius DOUBLE,
    memory_megabytes DOUBLE,
    free_megabytes DOUBLE,
    model_failure STRING,
    landing_failure STRING,
    ingested_at TIMESTAMP,
    ingest_run_id STRING,
    health_issues ARRAY<STRING>,
    throttling ARRAY<STRING>,
    recent_errors ARRAY<STRUCT<at: STRING, message: STRING>>
    """,
    indexed=27,
)

LABELS = Table(
    "labels",
    """
    id STRING,
    sha256 STRING,
    label STRING,
    labeller STRING,
    how STRING,
    labelled_at TIMESTAMP,
    proposed_by STRING
    """,
    indexed=7,
)
"""Rows are only added. The newest one of an image counts (steps/ingestion/label_rows.py)."""

CLASSES = Table("classes", "label STRING, name STRING, colour STRING, key STRING", indexed=4)
"""What people call the labels (steps/ingestion/class_names.py)."""

IMAGE_TABLES = (IMAGES, QUARANTINE)
"""Where the files of a landing zone end."""

INGESTED_TABLES = (*IMAGE_TABLES, LABELS)
"""Those that ingest needs from the start."""

TABLES = (*INGESTED_TABLES, CLASSES, SCORES, DEVICES)


def view_tables(spark: SparkSession, profile: "Profile") -> list[str]:
    """Let SQL name the tables of the project that the lake has, for as long as the session lasts.

    Returns:
        the views' names, which are the tables'.

    Raises:
        UserError: the lake has no tables.
    """
    found = [table.create_view(spark, profile) for table in TABLES if table.exists(spark, profile)]
    if not found:
        raise UserError(f"{profile.lake} has no tables yet: ingest images first", RunStep("ingest"))
    return found


def path_is_under(source: str) -> str:
    """Return the SQL condition that a row's path is below ``source``."""
    quoted = source.replace("\\", "\\\\").replace("'", "\\'")
    return f"startswith(path, '{quoted}/')"


def current_rows(spark: SparkSession, profile: "Profile", table: Table, source: str) -> DataFrame:
    """Return a table's rows of a landing zone, without those of files that were rewritten since."""
    rows = table.read(spark, profile)
    return rows.where(path_is_under(source)).where("replaced_at IS NULL")


TIME = pa.timestamp("us", "UTC")
BAND = pa.struct(
    [("band", pa.string())]
    + [(name, pa.float64()) for name in ("mean", "median", "stddev")]
    + [(name, pa.int32()) for name in ("min", "max")]
)


def read_current(newest: "Newest", source: str, types: dict[str, pa.DataType]) -> pa.Table:
    """Return columns of the rows that :func:`current_rows` returns, into memory, without Spark.

    Args:
        newest: of the table.
        source: the landing zone.
        types: of the columns, by name.
    """
    schema = pa.schema({"path": pa.string(), "replaced_at": TIME} | types)
    here = pc.starts_with(pc.field("path"), f"{source}/") & pc.field("replaced_at").is_null()
    return newest.rows(schema, here)


def open_tables(spark: "GetSpark", profile: "Profile") -> None:
    """Create the tables of ingested files and of their labels if they are missing.

    Args:
        spark: returns the session; called if a table lacks a column.
        profile: names the lake.
    """
    from steps.lake.newest import Newest

    for table in INGESTED_TABLES:
        table.create(profile)
        if not Newest(table, profile, spark).is_complete:
            table.open(spark(), profile)
