"""What Spark's Python workers do to score: they read a file and call the scoring core."""

import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pyarrow as pa
from pyspark import SparkFiles

from edge.inference.errors import UnreadableError
from edge.inference.scoring import Scorer

ROWS_A_GROUP = 10_000
"""Of a data file."""

IMAGES_AT_ONCE = 16
"""A few images together use the processor's caches better than one or many."""

Stored = Callable[[str, bytes], bytes]
"""Returns what is kept of a file's bytes, by its path: with privacy masks, the blackened image."""


def as_it_is(_path: str, content: bytes) -> bytes:
    """Return the bytes of a file that is scored as it is."""
    return content


def score_images(
    batches: Iterator[pa.RecordBatch],
    model: str,
    constant: dict[str, Any],
    stored: Stored = as_it_is,
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of ``scores`` for batches of ``path``, ``device_id``, ``sha256``, ``content``.

    If there is no column ``content``, a worker reads the image by its path, and finds its
    SHA-256 then.

    Args:
        batches: of a task.
        model: the folder's name, as ``SparkContext.addArchive`` sent it to each worker.
        constant: the columns that are the same on every row.
        stored: of files that a worker reads.
    """
    scorer = _scorer(SparkFiles.get(model))
    rows: list[dict[str, Any]] = []
    for batch in batches:
        images = batch.to_pylist()
        for start in range(0, len(images), IMAGES_AT_ONCE):
            scored = _score(scorer, images[start : start + IMAGES_AT_ONCE], stored)
            rows += [row | constant for row in scored]
            if len(rows) >= ROWS_A_GROUP:
                yield rows
                rows = []
    if rows:
        yield rows


@cache
def _scorer(folder: str) -> Scorer:
    """Load a model once a worker, for all the tasks that it runs."""
    return Scorer(folder, threads=1)


def _score(
    scorer: Scorer, images: list[dict[str, Any]], stored: Stored = as_it_is
) -> list[dict[str, Any]]:
    """Return the rows of some images, in their order; an unreadable one has a reason."""
    rows: list[dict[str, Any]] = []
    contents: dict[int, bytes] = {}
    for place, image in enumerate(images):
        rows.append({"path": image["path"], "sha256": image.get("sha256")})
        try:
            contents[place] = image["content"] if "content" in image else _read(rows[-1], stored)
        except (OSError, UnreadableError) as error:
            rows[-1]["reason"] = str(error)
    devices = [images[place]["device_id"] for place in contents]
    predictions = scorer.predict_each(contents.values(), devices)
    for place, found in zip(contents, predictions, strict=True):
        if isinstance(found, UnreadableError):
            rows[place]["reason"] = str(found)
        else:
            probabilities = list(found.probabilities.items())
            rows[place] |= {"label": found.label, "score": found.score}
            rows[place] |= {"probabilities": probabilities, "latency_ms": found.latency_ms}
    return rows


def _read(row: dict[str, Any], stored: Stored) -> bytes:
    """Return what is kept of the file at the row's path; write its SHA-256 into the row."""
    from steps.landing.place import read

    content = stored(row["path"], read(row["path"]))
    row["sha256"] = hashlib.sha256(content).hexdigest()
    return content
