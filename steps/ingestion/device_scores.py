"""What devices scored, from the files of results in a landing zone into ``scores``.

A device names a file by its own number, and no name ever stands for other rows. As with images,
a ledger notes each file in one chunk, and the chunk's name is the transaction under which Delta
takes its rows once.
"""

import hashlib
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from edge.protocol.landing_names import RESULTS
from steps.ingestion.arrivals import Arrivals, Limits
from steps.ingestion.landing import list_files, read
from steps.ingestion.parsing import PARSE_ERRORS, parse_optional, parse_str, parse_utc
from steps.ingestion.tables import QUARANTINE, SCORES
from steps.lake.transaction import append_rows
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

logger = logging.getLogger(__name__)

LIMITS = Limits(files=200, bytes=50_000_000)
"""Of a chunk, whose rows the driver holds."""

NUMBERS = ("score", "latency_ms")
TEXTS = ("file_name", "sha256", "label", "reason")
SAID = ("model", "model_version", "scored_by")
"""What every result says."""


def ingest_results(spark: "SparkSession", profile: Profile, source: str, run_id: str) -> int:
    """Append what is new among a landing zone's results to ``scores``; returns how many files.

    A line that is no result goes to ``quarantine`` with its file, and the others are taken.

    Args:
        spark: the session.
        profile: says where the tables are.
        source: the landing zone, as paths in the tables start.
        run_id: the run that takes them in.
    """
    arrivals = _Results(profile, source)
    new = arrivals.select_new(list_files(source, RESULTS, ".jsonl"))
    arrivals.record(new, LIMITS)
    if not arrivals.has_pending():
        return 0
    SCORES.open(spark, profile)
    QUARANTINE.open(spark, profile)

    def take(chunk: list["Row"]) -> None:
        _write_chunk(spark, profile, source, run_id, chunk)

    arrivals.stream(spark, take)
    arrivals.mark_done()
    return len(new)


def rows_of(content: bytes, source: str, run_id: str) -> tuple[list[dict[str, Any]], str]:
    """The rows of ``scores`` in a file of results, and what is wrong with the rest of it.

    Args:
        content: JSON lines, as ``edge.outbox.results`` writes them.
        source: the landing zone, below which the images are.
        run_id: the run that takes them in.
    """
    rows, wrong = [], ""
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            rows.append(_row(json.loads(line), source, run_id))
        except PARSE_ERRORS as error:
            wrong = wrong or f"line {number}: {type(error).__name__}: {error}"
    return rows, wrong or ("" if rows else "no line in it")


def _row(stated: dict[str, Any], source: str, run_id: str) -> dict[str, Any]:
    for name, value in stated.items():
        wanted = int | float if name in NUMBERS else str
        if name in (*NUMBERS, *TEXTS, *SAID) and not isinstance(value, wanted | None):
            raise ValueError(f"{name} is {value!r}")
    if not stated["scored_by"].startswith("edge:") or not stated["model"]:
        raise ValueError("it does not say which device scored with which model")
    stated |= {name: parse_optional(stated[name], parse_str) for name in (*TEXTS, *SAID)}
    image = stated["file_name"]
    return {
        "path": image and f"{source}/{image}",
        "sha256": stated["sha256"],
        "model": stated["model"],
        "model_version": stated["model_version"],
        "label": stated["label"],
        "score": parse_optional(stated["score"], float),
        "latency_ms": parse_optional(stated["latency_ms"], float),
        "reason": stated["reason"],
        "scored_by": stated["scored_by"],
        "scored_at": parse_utc(stated["scored_at"]),
        "score_run_id": run_id,
        "probabilities": parse_optional(stated["probabilities"], _probabilities),
    }


def _probabilities(stated: dict[str, Any]) -> dict[str, float]:
    return {parse_str(label): float(value) for label, value in stated.items()}


def _write_chunk(
    spark: "SparkSession", profile: Profile, source: str, run_id: str, chunk: list["Row"]
) -> None:
    rows, damaged = [], []
    for path in (file["path"] for file in chunk):
        try:
            content = read(path)
        except FileNotFoundError:
            logger.warning("%s is gone before it was taken in", path)
            continue
        found, wrong = rows_of(content, source, run_id)
        rows += found
        if wrong:
            logger.warning("%s goes to quarantine: %s", path, wrong)
            damaged.append(_damaged(path, content, wrong, run_id))
    # the chunk's name is the transaction under which Delta takes its rows once
    for target, found in ((SCORES, rows), (QUARANTINE, damaged)):
        if found:
            table = target.read(spark, profile)
            values = [tuple(row.get(column) for column in table.columns) for row in found]
            append_rows(
                spark.createDataFrame(values, table.schema).coalesce(1),
                target.path(profile),
                f"results {chunk[0]['file_name']}",
            )


def _damaged(path: str, content: bytes, wrong: str, run_id: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "path": path,
        "file_name": path.rpartition("/")[2],
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "modified_at": now,
        "reason": "results",
        "error": wrong[:1000],
        "ingested_at": now,
        "ingest_run_id": run_id,
        "content": content,
    }


class _Results(Arrivals):
    """The ledger of results files: not the one of images."""

    def __init__(self, profile: Profile, source: str):
        super().__init__(profile, f"results {source}")
