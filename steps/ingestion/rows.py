"""From arrived files to rows of ``images`` or ``quarantine``, in Spark's workers."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from edge.inference.image import UnreadableError
from steps.ingestion.exif import FUTURE
from steps.ingestion.file_name import parse_file_name
from steps.ingestion.image_metadata import Statistics, describe
from steps.ingestion.landing import read
from steps.ingestion.tables import DESCRIBED

if TYPE_CHECKING:
    import pyarrow as pa

ArrowFunction: TypeAlias = "Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]"
"""What ``mapInArrow`` applies to the batches of a partition."""

BYTES_PER_BATCH = 16 * 1024**2
"""Of images that a worker holds before it passes them on."""

EARLIEST = datetime(1969, 12, 31, tzinfo=UTC)
"""Earlier times in a name are ignored; pandas could not hold all of them. On this day it is
already 1 January 1970 somewhere, which a device writes whose clock was not set."""


@dataclass(frozen=True)
class Rules:
    """How files become rows.

    Attributes:
        source: the landing zone, as paths in the tables start.
        pattern: of file names, with the groups time, device, view, label.
        gps: ``drop`` or ``keep``.
        statistics: ``full`` or ``sampled``.
        run_id: of the ingest.
        has_splits: whether the images bring a split of their own, by their folders.
    """

    source: str
    pattern: str
    gps: Literal["drop", "keep"] = "drop"
    statistics: Statistics = "full"
    run_id: str = ""
    has_splits: bool = False


def make_describer(rules: Rules) -> ArrowFunction:
    """Return the function for ``mapInArrow`` from rows of path, bytes and modified_at to rows of
    ``DESCRIBED``.

    If the rows lack a content, the worker reads the file itself, so that an image's bytes cross
    between Python and the JVM once.
    """
    from pyspark.sql.pandas.types import to_arrow_schema
    from pyspark.sql.types import StructType

    schema = to_arrow_schema(StructType.fromDDL(DESCRIBED))

    def describe_batches(batches: Iterator["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa

        rows, size = [], 0
        for batch in batches:
            for file in batch.to_pylist():
                rows.append(build_row(file, rules))
                size += len(rows[-1]["content"] or b"")
                if size >= BYTES_PER_BATCH:
                    yield pa.RecordBatch.from_pylist(rows, schema=schema)
                    rows, size = [], 0
        if rows:
            yield pa.RecordBatch.from_pylist(rows, schema=schema)

    return describe_batches


def build_row(file: dict[str, Any], rules: Rules) -> dict[str, Any]:
    """Return a file's row; if it has a ``reason``, it belongs into quarantine."""
    now = datetime.now(UTC)
    row = {
        "path": file["path"],
        "file_name": PurePosixPath(file["path"]).name,
        "bytes": file["bytes"],
        "modified_at": file["modified_at"],
        "ingested_at": now,
        "ingest_run_id": rules.run_id,
        "content": None,
    }
    try:
        content = file.get("content") or read(file["path"])
    except OSError as error:
        reason = "gone" if isinstance(error, FileNotFoundError) else "no access"
        return row | {"reason": reason, "error": str(error)}
    row |= {
        "content": content,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    try:
        image = describe(content, rules.statistics)
        columns = _name_columns(file, image, rules)
        if columns["captured_at"] and columns["captured_at"] > now + FUTURE:
            raise UnreadableError(
                "from the future", f"taken at {columns['captured_at']:%Y-%m-%d %H:%M}"
            )
    except UnreadableError as error:
        return row | {"reason": error.reason, "error": error.detail or error.reason}
    return row | image | columns


def _name_columns(file: dict[str, Any], image: dict[str, Any], rules: Rules) -> dict[str, Any]:
    """Return the columns that come from the name, the folder or, failing these, from EXIF."""
    named = parse_file_name(file["path"], rules.source, rules.pattern, rules.has_splits)
    exif_time = image.pop("exif_captured_at")
    times = [(image["captured_from"], exif_time)] if exif_time else []
    if named.captured_at and named.captured_at >= EARLIEST:
        is_future = named.captured_at > datetime.now(UTC) + FUTURE
        times.insert(len(times) if is_future else 0, ("name", named.captured_at))
    origin, captured_at = [*times, ("file", _utc(file["modified_at"]))][0]
    return {
        "captured_at": captured_at,
        "captured_from": origin,
        "date": captured_at.date(),
        "device_id": named.device_id,
        "view": named.view,
        "label": named.label,
        "label_from": named.label and ("name" if named.matches else "folder"),
        "split": named.split,
        "gps": image["gps"] if rules.gps == "keep" else None,
    }


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
