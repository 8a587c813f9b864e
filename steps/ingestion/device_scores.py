"""Ingests the result files of devices from a landing zone into ``scores``.

A device numbers its files, and the same name always means the same rows. As with images, each
file belongs to one recorded chunk, whose name is the Delta transaction that appends its rows once.
"""

import hashlib
import json
import logging
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from edge.protocol.landing_names import RESULTS
from steps.ingestion.arrivals import Arrivals, Limits
from steps.ingestion.label_text import normalize_label
from steps.ingestion.landing import list_files, read
from steps.ingestion.parsing import PARSE_ERRORS, parse_optional, parse_str, parse_utc
from steps.ingestion.tables import QUARANTINE, SCORES
from steps.lake.transaction import append_rows
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

logger = logging.getLogger(__name__)

LIMITS = Limits(files=200, bytes=50_000_000)
"""Of a chunk, whose rows are in the driver's memory."""

NUMBERS = ("score", "latency_ms")
TEXTS = ("file_name", "sha256", "label", "reason", "model", "model_version", "scored_by")


def ingest_results(spark: "SparkSession", profile: Profile, source: str, run_id: str) -> int:
    """Append a landing zone's new results to ``scores``; return the number of new files.

    A file with an invalid line goes to ``quarantine``; its valid lines are ingested.

    Args:
        spark: the session.
        profile: locates the tables.
        source: the landing zone, as the paths in the tables start.
        run_id: of the run that ingests the files.
    """
    arrivals = _Results(profile, source)
    new = arrivals.select_new(list_files(source, RESULTS, ".jsonl"))
    arrivals.record(new, LIMITS)
    if not arrivals.has_pending():
        return 0
    SCORES.open(spark, profile)
    QUARANTINE.open(spark, profile)
    arrivals.stream(spark, partial(_write_chunk, spark, profile, source, run_id))
    arrivals.mark_done()
    return len(new)


def parse_results(content: bytes, source: str, run_id: str) -> tuple[list[dict[str, Any]], str]:
    """Return the rows of ``scores`` in a file of results, and the first error in the others.

    Args:
        content: JSON lines, as ``edge.outbox.results`` writes them.
        source: the landing zone of the images.
        run_id: of the run that ingests the file.
    """
    rows, error = [], ""
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            rows.append(_row(json.loads(line), source, run_id))
        except PARSE_ERRORS as invalid:
            error = error or f"line {number}: {type(invalid).__name__}: {invalid}"
    return rows, error or ("" if rows else "it has no lines")


def _row(result: dict[str, Any], source: str, run_id: str) -> dict[str, Any]:
    for name, value in result.items():
        expected = int | float if name in NUMBERS else str
        if name in (*NUMBERS, *TEXTS) and not isinstance(value, expected | None):
            raise ValueError(f"{name} is {value!r}")
    if not result["scored_by"].startswith("edge:") or not result["model"]:
        raise ValueError("scored_by or model is missing")
    texts = {name: parse_optional(result[name], parse_str) for name in TEXTS}
    numbers = {name: parse_optional(result[name], float) for name in NUMBERS}
    image = texts.pop("file_name")
    return {
        **texts,
        **numbers,
        "label": normalize_label(texts["label"]),
        "path": image and f"{source}/{image}",
        "scored_at": parse_utc(result["scored_at"]),
        "score_run_id": run_id,
        "probabilities": parse_optional(result["probabilities"], _probabilities),
    }


def _probabilities(values: dict[str, Any]) -> dict[str, float]:
    return {normalize_label(parse_str(name)) or "": float(value) for name, value in values.items()}


def _write_chunk(
    spark: "SparkSession", profile: Profile, source: str, run_id: str, chunk: list["Row"]
) -> None:
    rows, damaged = [], []
    for path in (file["path"] for file in chunk):
        try:
            content = read(path)
        except FileNotFoundError:
            logger.warning("%s disappeared before it was ingested", path)
            continue
        found, error = parse_results(content, source, run_id)
        rows += found
        if error:
            logger.warning("%s goes to quarantine: %s", path, error)
            damaged.append(_damaged(path, content, error, run_id))
    # the chunk's name is the Delta transaction that appends its rows once
    for target, found in ((SCORES, rows), (QUARANTINE, damaged)):
        if found:
            table = target.read(spark, profile)
            values = [tuple(row.get(column) for column in table.columns) for row in found]
            append_rows(
                spark.createDataFrame(values, table.schema).coalesce(1),
                target.path(profile),
                f"results {chunk[0]['file_name']}",
            )


def _damaged(path: str, content: bytes, error: str, run_id: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "path": path,
        "file_name": path.rpartition("/")[2],
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "modified_at": now,
        "reason": "results",
        "error": error[:1000],
        "ingested_at": now,
        "ingest_run_id": run_id,
        "content": content,
    }


class _Results(Arrivals):
    """The log of result files, separate from the one of images."""

    def __init__(self, profile: Profile, source: str):
        super().__init__(profile, f"results {source}")
