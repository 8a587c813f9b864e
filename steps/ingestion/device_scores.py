"""Ingests the result files of devices from a landing zone into ``scores``.

A device numbers its files, and the same name always means the same rows. As with images, each
file belongs to one recorded chunk, whose name is the Delta transaction that appends its rows once.
"""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from edge.protocol.landing_names import RESULTS
from steps.ingestion.label_text import normalize_label
from steps.ingestion.parsing import PARSE_ERRORS, parse_row
from steps.ingestion.rows import landed_row
from steps.ingestion.tables import BY_DEVICE, QUARANTINE, SCORES
from steps.lake.newest import GetSpark
from steps.lake.transaction import append_rows
from steps.landing.arrivals import Arrivals, Chunk, Limits
from steps.landing.listing import list_files
from steps.landing.place import read
from steps.settings.profile import Profile

logger = logging.getLogger(__name__)

LIMITS = Limits(files=200, bytes=50_000_000)
"""Of a chunk, whose rows are in the driver's memory."""


def ingest_results(
    spark: GetSpark,
    profile: Profile,
    source: str,
    run_id: str,
    may_write: Callable[[], None] = lambda: None,
) -> int:
    """Append a landing zone's new results to ``scores``; return the number of new files.

    A file with an invalid line goes to ``quarantine``; its valid lines are ingested.

    Args:
        spark: returns the session; called if there are new results.
        profile: locates the tables.
        source: the landing zone, as the paths in the tables start.
        run_id: of the run that ingests the files.
        may_write: raises an error if another run has taken over meanwhile.
    """
    files = list_files(source, RESULTS, ".jsonl")
    process = partial(_write_chunk, spark, profile, source, run_id)
    return result_log(profile, source).process_new(files, LIMITS, process, may_write)


def result_log(profile: Profile, source: str) -> Arrivals:
    """Return the log of the result files of a landing zone, which is not the one of its images."""
    return Arrivals(profile, f"results {source}")


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
    image = result["file_name"]
    path = None if image is None else "/".join([source, image])
    row = parse_row(result | {"path": path, "score_run_id": run_id}, SCORES)
    if not row["scored_by"].startswith(BY_DEVICE) or not row["model"]:
        raise ValueError("scored_by or model is missing")
    row["label"] = normalize_label(row["label"])
    if row["probabilities"] is not None:
        by_label = row["probabilities"].items()
        row["probabilities"] = {normalize_label(name) or "": value for name, value in by_label}
    return row


def _write_chunk(spark: GetSpark, profile: Profile, source: str, run_id: str, chunk: Chunk) -> None:
    rows, damaged = [], []
    for path in (file.path for file in chunk.files):
        try:
            content = read(path)
        except FileNotFoundError:
            logger.warning("%s disappeared before it was ingested", path)
            continue
        found, error = parse_results(content, source, run_id)
        rows += found
        if error:
            logger.warning("%s goes to quarantine: %s", path, error)
            row = landed_row(path, content, datetime.now(UTC), run_id)
            damaged.append(row | {"reason": "results", "error": error[:1000]})
    # the chunk's name is the Delta transaction that appends its rows once
    for target, found in ((SCORES, rows), (QUARANTINE, damaged)):
        if found:
            table = target.open(spark(), profile).toDF()
            values = [tuple(row.get(column) for column in table.columns) for row in found]
            append_rows(
                spark().createDataFrame(values, table.schema).coalesce(1),
                target.path(profile),
                f"results {chunk.name}",
            )
