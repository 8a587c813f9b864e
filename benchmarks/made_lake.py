"""A table of images without Spark: its data files as ingest writes them, and a log by hand."""

import itertools
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from steps.ingestion.rows import Rules, build_row
from steps.ingestion.tables import BAND, IMAGES
from steps.lake.table import Table
from steps.lake.worker_append import DataFile
from steps.settings.profile import Profile, load_profile

PATTERN = load_profile("local").file_name
SERVE = """
import sys, threading
from pathlib import Path
from benchmarks.made_lake import made_profile
from steps.labelling.journal import Journal, journal_folder
from steps.labelling.server import Server
from steps.labelling.sitting import Sitting

profile = made_profile(Path(sys.argv[1]))
sitting = Sitting(profile, sys.argv[2], Journal(journal_folder(profile)), sys.argv[3])
print(Server(sitting, 0).address, flush=True)
threading.Event().wait()
"""
"""A program that serves the page for such a lake and prints its address: home, zone, labeller."""

SIMPLE = {
    "STRING": pa.string(),
    "BIGINT": pa.int64(),
    "INT": pa.int32(),
    "DOUBLE": pa.float64(),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
    "DATE": pa.date32(),
    "BINARY": pa.binary(),
}
PLACE = [(name, pa.float64()) for name in ("latitude", "longitude", "altitude")]
NESTED = {
    "statistics": pa.list_(BAND),
    "histogram": pa.list_(pa.list_(pa.int32())),
    "exif": pa.map_(pa.string(), pa.string()),
    "gps": pa.struct(PLACE),
}
SCHEMA = pa.schema(
    [
        (name, NESTED.get(name) or SIMPLE[kind])
        for name, kind in IMAGES.types.items()
        if name not in IMAGES.partitioned_by
    ]
)
MADE_AT = datetime(2026, 7, 13, tzinfo=UTC)


def made_profile(home: Path) -> Profile:
    """A profile with a lake and a cache of its own."""
    return load_profile("local", f"lake={home / 'lake'},cache={home / 'cache'}")


def frame_name(number: int, minutes: float = 5, device: str = "porch") -> str:
    """The file name of a frame without a label."""
    at = MADE_AT + timedelta(minutes=minutes * number)
    return f"{at:%Y-%m-%dT%H:%M:%S}_rpi_sensor_{device}_front.jpg"


def image_rows(images: Iterable[tuple[str, bytes]], zone: str) -> Iterator[dict[str, Any]]:
    """The rows that ingest makes of images, by their names in a landing zone."""
    rules = Rules(source=zone, pattern=PATTERN, run_id="made")
    for name, content in images:
        file = {"path": f"{zone}/{name}", "content": content, "modified_at": MADE_AT}
        yield build_row(file | {"bytes": len(content)}, rules)


def write_rows(rows: Iterable[dict[str, Any]], profile: Profile, at_once: int = 150) -> list[str]:
    """Write rows into data files, one a day; return their ``add`` actions."""
    table, actions = IMAGES.path(profile), []
    for day, of_day in itertools.groupby(rows, key=lambda row: row["date"]):
        file = DataFile(IMAGES, table, SCHEMA, (str(day),))
        while some := list(itertools.islice(of_day, at_once)):
            file.write(some)
        actions.append(file.close())
    return actions


def commit(profile: Profile, actions: list[str], table: Table = IMAGES) -> None:
    """Write the next version of a table."""
    log = Path(table.path(profile), "_delta_log")
    log.mkdir(parents=True, exist_ok=True)
    version = len(list(log.glob("*.json")))
    if version == 0:
        schema = json.dumps({"fields": [{"name": name} for name in table.types]})
        actions = [
            json.dumps({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}),
            json.dumps({"metaData": {"id": "made", "schemaString": schema}}),
            *actions,
        ]
    (log / f"{version:020}.json").write_text("\n".join(actions))


def write_table(
    table: Table, profile: Profile, rows: list[dict[str, Any]], schema: pa.Schema
) -> None:
    """Write rows as the next version of a table that is not partitioned."""
    file = DataFile(table, table.path(profile), schema, ())
    file.write(rows)
    commit(profile, [file.close()], table)


def make_lake(home: Path, images: Iterable[tuple[str, bytes]]) -> tuple[Profile, str]:
    """Make a lake of some images; return its profile, and the landing zone as tables write it."""
    profile, zone = made_profile(home), f"file:{home / 'zone'}"
    commit(profile, write_rows(image_rows(images, zone), profile))
    return profile, zone
