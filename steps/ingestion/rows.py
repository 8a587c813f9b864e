"""From arrived files to rows of ``images`` or ``quarantine``, as Spark's workers make them."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from edge.inference.image import UnreadableError
from steps.ingestion.file_name import read_name
from steps.ingestion.image_metadata import Statistics, describe
from steps.ingestion.landing import read
from steps.lake.tables import CONTENT, IMAGE, INGESTED, LANDED, QUARANTINED

if TYPE_CHECKING:
    import pyarrow as pa

DESCRIBED = ", ".join([LANDED, QUARANTINED, INGESTED, IMAGE, CONTENT])

BYTES_A_BATCH = 16 * 1024**2
"""Of images that a worker holds before it hands them on."""

FUTURE = timedelta(days=1)
"""What is dated later than this from now is from a clock that is wrong, not from another
time zone."""

EARLIEST = datetime(1969, 12, 31, tzinfo=UTC)
"""A name or EXIF that says an earlier time says none; pandas could not hold all of them. From this
day on it is 1 January 1970 somewhere, which a device writes whose clock was not set."""


@dataclass(frozen=True)
class Rules:
    """How files become rows.

    Attributes:
        source: the landing zone, as paths in the tables start.
        pattern: of file names, with the groups time, device, view, label.
        names: ``pattern``: a name that does not match is quarantined, unless a folder below the
            source labels the image; ``any``: every name will do.
        gps: ``drop`` or ``keep``.
        statistics: ``full`` or ``sampled``.
        run_id: the run that takes the images in.
    """

    source: str
    pattern: str
    names: Literal["pattern", "any"] = "pattern"
    gps: Literal["drop", "keep"] = "drop"
    statistics: Statistics = "full"
    run_id: str = ""


def describer(rules: Rules) -> Callable:
    """The function for ``mapInArrow`` over rows of path, bytes, modified_at, and perhaps content.

    Without content the worker reads the file itself, so that an image's bytes cross between
    Python and the JVM once.
    """
    from pyspark.sql.pandas.types import to_arrow_schema
    from pyspark.sql.types import StructType

    schema = to_arrow_schema(StructType.fromDDL(DESCRIBED))

    def described(batches: Iterator["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa

        rows, size = [], 0
        for batch in batches:
            for file in batch.to_pylist():
                rows.append(row_of(file, rules))
                size += len(rows[-1]["content"] or b"")
                if size >= BYTES_A_BATCH:
                    yield pa.RecordBatch.from_pylist(rows, schema=schema)
                    rows, size = [], 0
        if rows:
            yield pa.RecordBatch.from_pylist(rows, schema=schema)

    return described


def row_of(file: dict[str, Any], rules: Rules) -> dict[str, Any]:
    """One file's row; with a ``reason`` it belongs into quarantine."""
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
        columns = _named(file, image, rules)
        if columns["captured_at"] and columns["captured_at"] > now + FUTURE:
            raise UnreadableError(
                "from the future", f"taken at {columns['captured_at']:%Y-%m-%d %H:%M}"
            )
    except UnreadableError as error:
        return row | {"reason": error.reason, "error": error.detail or error.reason}
    return row | image | columns


def _named(file: dict[str, Any], image: dict[str, Any], rules: Rules) -> dict[str, Any]:
    """The columns that the name and the folder decide, or complete what EXIF says."""
    named = read_name(file["path"], rules.source, rules.pattern)
    if rules.names == "pattern" and not named.matches and named.label is None:
        raise UnreadableError(
            "name", "it does not match the profile's file_name; pass -P names=any to take it"
        )
    exif_time = image.pop("exif_captured_at")
    times = (("name", named.captured_at), ("exif", exif_time), ("file", _utc(file["modified_at"])))
    origin, captured_at = next(
        (origin, time) for origin, time in times if time and (origin == "file" or time >= EARLIEST)
    )
    return {
        "captured_at": captured_at,
        "captured_from": origin,
        "date": captured_at.date(),
        "device_id": named.device_id,
        "view": named.view,
        "label": named.label,
        "gps": image["gps"] if rules.gps == "keep" else None,
    }


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
