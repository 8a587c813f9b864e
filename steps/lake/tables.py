"""The Delta tables: their columns, and where they stand below the profile's ``lake``.

Long columns stand last, after the ones that Delta indexes.
"""

from typing import TYPE_CHECKING

from steps.errors import RunStep, UserError
from steps.ingestion.image_metadata import COLUMNS as COLUMNS_OF_IMAGE
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from delta.tables import DeltaTable
    from pyspark.sql import SparkSession

LANDED = """
    path STRING,
    file_name STRING,
    sha256 STRING,
    bytes BIGINT,
    modified_at TIMESTAMP,
    replaced_at TIMESTAMP
"""

IMAGE = f"""
    captured_at TIMESTAMP,
    captured_from STRING,
    utc_offset_minutes INT,
    date DATE,
    device_id STRING,
    view STRING,
    label STRING,
    duplicate_of STRING,
    {COLUMNS_OF_IMAGE}
"""

QUARANTINED = "reason STRING, error STRING"

INGESTED = "ingested_at TIMESTAMP, ingest_run_id STRING"

CONTENT = "content BINARY"

COLUMNS = {
    "images": f"{LANDED}, {INGESTED}, {IMAGE}, {CONTENT}",
    "quarantine": f"{LANDED}, {QUARANTINED}, {INGESTED}, {CONTENT}",
    "scores": """
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
    "devices": """
        device_id STRING,
        view STRING,
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
        temperature DOUBLE,
        memory_megabytes DOUBLE,
        free_megabytes DOUBLE,
        model_failure STRING,
        landing_failure STRING,
        ingested_at TIMESTAMP,
        ingest_run_id STRING,
        health_issues ARRAY<STRING>,
        throttling ARRAY<STRING>,
        troubles ARRAY<STRUCT<at: STRING, what: STRING>>
    """,
}
LONG = {"images": ("statistics", "histogram", "exif", "content"), "scores": ("probabilities",)}
"""Columns for which neither dictionaries nor statistics are kept, in tables that workers write."""

PARTITIONED_BY = {"images": ["date"]}
INDEXED_COLUMNS = {"images": 17, "quarantine": 10, "scores": 11, "devices": 26}


def table_path(profile: Profile, name: str) -> str:
    """Where a table stands: a folder or a URI."""
    return f"{profile.lake}/{name}"


def open_table(spark: "SparkSession", profile: Profile, name: str) -> "DeltaTable":
    """The table, made first where it does not exist, with the columns that it lacks added."""
    from delta.tables import DeltaTable
    from pyspark.sql.types import StructType

    columns = StructType.fromDDL(COLUMNS[name])
    table = (
        DeltaTable.createIfNotExists(spark)
        .location(table_path(profile, name))
        .addColumns(columns)
        .partitionedBy(*PARTITIONED_BY.get(name, []))
        .property("delta.dataSkippingNumIndexedCols", str(INDEXED_COLUMNS[name]))
        .execute()
    )
    known = table.toDF().columns
    if missing := [column for column in columns if column.name not in known]:
        added = ", ".join(f"{column.name} {column.dataType.simpleString()}" for column in missing)
        spark.sql(f"ALTER TABLE delta.`{table_path(profile, name)}` ADD COLUMNS ({added})")
        table = DeltaTable.forPath(spark, table_path(profile, name))
    return table


def view_tables(spark: "SparkSession", profile: Profile) -> list[str]:
    """Let SQL name the tables: a view of each that is there, for as long as the session lasts.

    Returns:
        the views' names, which are the tables'.

    Raises:
        UserError: there is no table.
    """
    from delta.tables import DeltaTable

    found = [name for name in COLUMNS if DeltaTable.isDeltaTable(spark, table_path(profile, name))]
    if not found:
        raise UserError(f"no table in {profile.lake} yet: ingest images first", RunStep("ingest"))
    for name in found:
        _view(spark, name, f"delta.`{table_path(profile, name)}`")
    return found


def view_version(spark: "SparkSession", profile: Profile, name: str, version: int) -> str:
    """A view of a table as it was, named as in ``images_v1``, as SQL has no versions of views."""
    view = f"{name}_v{version}"
    _view(spark, view, f"delta.`{table_path(profile, name)}` VERSION AS OF {version}")
    return view


def _view(spark: "SparkSession", name: str, table: str) -> None:
    spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW {name} AS SELECT * FROM {table}")


def current_version(table: "DeltaTable") -> int:
    """The table's newest version."""
    return table.history(1).select("version").head()[0]


def id_of(table: "DeltaTable") -> str:
    """What Delta calls the table: another one at the same place has another ID."""
    return table.detail().select("id").head()[0]


def path_is_under(source: str) -> str:
    """The SQL condition that an image's path is below ``source``."""
    quoted = source.replace("\\", "\\\\").replace("'", "\\'")
    return f"startswith(path, '{quoted}/')"
