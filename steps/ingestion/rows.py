"""From arrived files to rows of ``images`` or ``quarantine``, in Spark's workers."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Literal

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema

from edge.inference.errors import UnreadableError
from edge.inference.region import Region
from edge.protocol.erased import Erased
from edge.protocol.privacy import blacken_file, masks_of
from steps.ingestion.exif import FUTURE
from steps.ingestion.file_name import parse_file_name
from steps.ingestion.image_metadata import Statistics, describe
from steps.ingestion.tables import DESCRIBED
from steps.lake.creation import parse_columns
from steps.lake.worker_append import to_batches
from steps.landing.place import read

BYTES_PER_BATCH = 16 * 1024**2
"""Of images that a worker holds before it passes them on."""

EARLIEST = datetime(1969, 12, 31, tzinfo=UTC)
"""Earlier times in a name are ignored; pandas could not hold all of them. On this day it is
already 1 January 1970 somewhere, which a device writes whose clock was not set."""


ERASED = "erased"
"""Why an image that was erased, and landed again, is in quarantine; its bytes are not."""


NOTHING_ERASED = Erased()


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
        erased: what must not come back.
        privacy_masks: by device ID, the areas that are blackened.
    """

    source: str
    pattern: str
    gps: Literal["drop", "keep"] = "drop"
    statistics: Statistics = "full"
    run_id: str = ""
    has_splits: bool = False
    erased: Erased = NOTHING_ERASED
    privacy_masks: Mapping[str, list[Region]] = field(default_factory=dict)

    def masks(self, path: str) -> list[Region]:
        """Return the areas of a file that are blackened, by the device in its name."""
        named = parse_file_name(path, self.source, self.pattern, self.has_splits)
        return masks_of(self.privacy_masks, named.device_id)

    def stored(self, path: str, content: bytes) -> bytes:
        """Return what the tables keep of a file's bytes.

        Raises:
            edge.inference.errors.UnreadableError: it has to be blackened, and cannot be decoded.
        """
        masks = self.masks(path) if self.privacy_masks else []
        return blacken_file(content, masks) if masks else content


def describe_files(files: DataFrame, rules: Rules) -> DataFrame:
    """Return the columns of ``DESCRIBED`` for rows of path, bytes and modified_at.

    If the rows lack a content, the worker reads the file itself, so that an image's bytes cross
    between Python and the JVM once.
    """
    schema = to_arrow_schema(parse_columns(DESCRIBED))
    build = partial(_build_rows, rules=rules)
    return files.mapInArrow(partial(to_batches, make_rows=build, schema=schema), DESCRIBED)


def build_images(batches: Iterator[pa.RecordBatch], rules: Rules) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of the images among arrived files, without what belongs into quarantine."""
    for rows in _build_rows(batches, rules):
        yield [row for row in rows if "reason" not in row]


def _build_rows(batches: Iterator[pa.RecordBatch], rules: Rules) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of arrived files, those of ``BYTES_PER_BATCH`` at once."""
    rows, size = [], 0
    for batch in batches:
        for file in batch.to_pylist():
            rows.append(build_row(file, rules))
            size += len(rows[-1]["content"] or b"")
            if size >= BYTES_PER_BATCH:
                yield rows
                rows, size = [], 0
    if rows:
        yield rows


def landed_row(
    path: str, content: bytes | None, modified_at: datetime, run_id: str
) -> dict[str, Any]:
    """Return the columns that a file has in both tables, whatever it holds.

    Args:
        path: as the tables write it.
        content: None if the file cannot be read.
        modified_at: the time of its last change.
        run_id: of the ingest.
    """
    row = {
        "path": path,
        "file_name": PurePosixPath(path).name,
        "bytes": None if content is None else len(content),
        "modified_at": modified_at,
        "ingested_at": datetime.now(UTC),
        "ingest_run_id": run_id,
    }
    return row | _hashed(content)


def _hashed(content: bytes | None) -> dict[str, Any]:
    """Return the columns of the bytes that are kept."""
    sha256 = None if content is None else hashlib.sha256(content).hexdigest()
    return {"sha256": sha256, "content": content}


def build_row(file: dict[str, Any], rules: Rules) -> dict[str, Any]:
    """Return a file's row; if it has a ``reason``, it belongs into quarantine."""
    try:
        content = file.get("content") or read(file["path"])
    except OSError as error:
        reason = "gone" if isinstance(error, FileNotFoundError) else "no access"
        row = landed_row(file["path"], None, file["modified_at"], rules.run_id)
        return row | {"bytes": file["bytes"], "reason": reason, "error": str(error)}
    row = landed_row(file["path"], None, file["modified_at"], rules.run_id)
    row["bytes"] = file["bytes"]  # by which the file is known again
    described = _describe(file, row, content, rules)
    named = parse_file_name(file["path"], rules.source, rules.pattern, rules.has_splits)
    captured_at = described.get("captured_at", named.captured_at)
    hashes = {row["sha256"]}
    if rules.privacy_masks:  # it may have been erased before it had a mask
        hashes.add(hashlib.sha256(content).hexdigest())
    if any(rules.erased.covers(one, named.device_id, captured_at) for one in hashes):
        return row | {"content": None, "reason": ERASED, "error": "it was erased before"}
    return row | described


def _describe(
    file: dict[str, Any], row: dict[str, Any], content: bytes, rules: Rules
) -> dict[str, Any]:
    """Give a row its bytes, and return what else it has: the image's columns, or why it is none."""
    try:
        content = rules.stored(file["path"], content)
        row |= _hashed(content)
        image = describe(content, rules.statistics)
        columns = _name_columns(file, image, rules)
        if columns["captured_at"] and columns["captured_at"] > row["ingested_at"] + FUTURE:
            raise UnreadableError(
                "from the future", f"taken at {columns['captured_at']:%Y-%m-%d %H:%M}"
            )
    except UnreadableError as error:
        return {"reason": error.reason, "error": error.detail or error.reason}
    return image | columns


def _name_columns(file: dict[str, Any], image: dict[str, Any], rules: Rules) -> dict[str, Any]:
    """Return the columns that come from the name, the folder or, failing these, from EXIF."""
    named = parse_file_name(file["path"], rules.source, rules.pattern, rules.has_splits)
    exif_time = image.pop("exif_captured_at")
    times = [(image["captured_from"], exif_time)] if exif_time else []
    if named.captured_at and named.captured_at >= EARLIEST:
        is_future = named.captured_at > datetime.now(UTC) + FUTURE
        times.insert(len(times) if is_future else 0, ("name", named.captured_at))
    origin, captured_at = [*times, ("file", _utc(file["modified_at"]))][0]
    return named._asdict() | {
        "captured_at": captured_at,
        "captured_from": origin,
        "date": captured_at.date(),
        "gps": image["gps"] if rules.gps == "keep" else None,
    }


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
