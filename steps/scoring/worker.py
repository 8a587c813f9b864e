"""What Spark's Python workers do to score: they import this and the scoring core, no more."""

import hashlib
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import pyarrow as pa
from pyspark import SparkFiles

from edge.inference.image import UnreadableError
from edge.inference.scoring import Scorer
from steps.lake.data_file import DataFile, Layout, to_record_batch

ROWS_A_GROUP = 10_000
"""Of a data file."""

IMAGES_AT_ONCE = 16
"""A few images together use the processor's caches better than one or many."""


class ScoreBatches(NamedTuple):
    """Turns record batches of ``path``, ``sha256`` and ``content`` into rows of ``scores``.

    If there is no column ``content``, a worker reads the image by its path, and finds its
    SHA-256 then.

    Attributes:
        sent_as: the folder's name, as ``SparkContext.addFile`` sent it to each worker.
        schema: the Arrow schema of the rows.
        constant: the columns that are the same on every row.
    """

    sent_as: str
    schema: pa.Schema
    constant: dict[str, Any]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Score batches of images, as ``mapInArrow`` calls it."""
        for rows in self.rows(batches):
            yield pa.RecordBatch.from_pylist(rows, schema=self.schema)

    def rows(self, batches: Iterator[pa.RecordBatch]) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows of a few images after another."""
        scorer = _scorer(SparkFiles.get(self.sent_as))
        for batch in batches:
            images = batch.to_pylist()
            for start in range(0, len(images), IMAGES_AT_ONCE):
                rows = _score(scorer, images[start : start + IMAGES_AT_ONCE])
                yield [row | self.constant for row in rows]


class ScoreIntoFiles(NamedTuple):
    """Writes the rows into data files of the table, and yields a row of ``ADD_ACTIONS`` for each.

    So they need not cross to the JVM, whose own way to write takes seconds until it is warm.
    """

    score: ScoreBatches
    layout: Layout

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Score batches of images and write their rows, as ``mapInArrow`` calls it."""
        file, waiting = None, []
        for rows in self.score.rows(batches):
            file = file or DataFile(self.layout, {})
            waiting += rows
            if len(waiting) >= ROWS_A_GROUP:
                file.write(waiting)
                waiting = []
        if file:
            file.write(waiting)
            yield to_record_batch([file.close()])


@cache
def _scorer(folder: str) -> Scorer:
    """Load a model once a worker, for all the tasks that it runs."""
    return Scorer(folder, threads=1)


def _score(scorer: Scorer, images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of some images, in their order; an unreadable one has a reason."""
    rows: list[dict[str, Any]] = []
    contents: dict[int, bytes] = {}
    for place, image in enumerate(images):
        rows.append({"path": image["path"], "sha256": image.get("sha256")})
        try:
            contents[place] = image["content"] if "content" in image else _read(rows[-1])
        except OSError as error:
            rows[-1]["reason"] = str(error)
    for place, found in zip(contents, scorer.predict_each(contents.values()), strict=True):
        if isinstance(found, UnreadableError):
            rows[place]["reason"] = str(found)
        else:
            probabilities = list(found.probabilities.items())
            rows[place] |= {"label": found.label, "score": found.score}
            rows[place] |= {"probabilities": probabilities, "latency_ms": found.latency_ms}
    return rows


def _read(row: dict[str, Any]) -> bytes:
    """Read a file by the row's path; write its SHA-256 into the row."""
    from steps.ingestion.landing import read

    content = read(row["path"])
    row["sha256"] = hashlib.sha256(content).hexdigest()
    return content
