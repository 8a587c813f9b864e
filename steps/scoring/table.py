"""The table of scores, filled by Spark's workers through the scoring core.

Two things are scored: rows of ``images`` that a version of the model has not scored yet, and the
files of a folder that are new since the last time. For the files there is a ledger of arrivals
and a checkpoint of their own for each alias that scores them, beside those of ingest: an alias
scores a file once, whatever is interrupted, and whichever version it names by then.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from steps.ingestion.arrivals import Arrivals, Limits
from steps.ingestion.landing import list_landing_zone, normalize
from steps.ingestion.tables import SCORES, path_is_under
from steps.lake.data_file import ADD_ACTIONS, Layout
from steps.lake.transaction import Append, append_rows
from steps.pipeline.outputs import IngestOutputs
from steps.scoring.worker import ScoreBatches, ScoreIntoFiles
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from pyspark.sql import DataFrame, Row, SparkSession

LIMITS = Limits(files=20_000, bytes=8_000_000_000)
"""Of a batch of files, of which a worker holds a few at a time."""


@dataclass(frozen=True)
class Model:
    """A registered version, and the folder with its files, by which Spark sends it to workers."""

    version: "ModelVersion"
    folder: str


def ledger_of(profile: Profile, source: str, alias: str) -> str:
    """Where it is noted what an alias scored of a folder, or of ``images`` where that is empty.

    A run that scores holds it, so that of two at once one scores.
    """
    return _ScoredArrivals(profile, source and normalize(source), alias).home


class Scoring:
    """Appends to ``scores`` with the model that the registry names when a batch begins.

    Args:
        spark: the session.
        profile: says where the tables are.
        alias: whose files are scored, such as ``package-onnx@champion``.
        model: gives the model that the alias names now; asked once a batch.
        run_id: the run that scores; on every row.
    """

    def __init__(
        self,
        spark: "SparkSession",
        profile: Profile,
        alias: str,
        model: Callable[[], Model],
        run_id: str,
    ):
        self._spark, self._profile, self._run_id = spark, profile, run_id
        self._alias, self._model = alias, model
        self._sent: set[str] = set()
        SCORES.open(spark, profile)

    def score_images(self, ingested: IngestOutputs) -> None:
        """Score the rows of ``images`` that the model of now has not scored yet.

        Args:
            ingested: which rows, at which Delta version.
        """
        model = self._model()
        name = model.version.name.replace("\\", "\\\\").replace("'", "\\'")
        known = (
            SCORES.read(self._spark, self._profile)
            .where(f"model = '{name}' AND model_version = '{model.version.version}'")
            .select("path", "sha256")
        )
        images = (
            self._spark.read.format("delta")
            .option("versionAsOf", ingested.version)
            .load(ingested.table)
            .where(path_is_under(ingested.source))
            .where("replaced_at IS NULL")
            .select("path", "sha256", "content")
        )
        self._append(images.join(known.hint("broadcast"), ["path", "sha256"], "left_anti"), model)

    def score_files(self, source: str, may_write: Callable[[], None] = lambda: None) -> int:
        """Score the files of a folder that are new to the alias; returns how many.

        Args:
            source: folder or URI.
            may_write: raises where somebody else is at the ledger; asked before anything is
                noted, and before each chunk.
        """
        files = list_landing_zone(source, may_be_empty=True)
        arrivals = _ScoredArrivals(self._profile, files.source, self._alias)
        new = arrivals.select_new(files.files)
        may_write()
        arrivals.record(new, LIMITS)
        if not arrivals.has_pending():
            return 0

        def take(rows: list["Row"]) -> None:
            may_write()
            self._score_chunk(rows)

        arrivals.stream(self._spark, take)
        arrivals.mark_done()
        return len(new)

    def _score_chunk(self, rows: list["Row"]) -> None:
        images = self._spark.createDataFrame([(row["path"],) for row in rows], "path STRING")
        # the chunk's name is the transaction under which Delta takes its rows once
        self._append(images, self._model(), transaction=f"scores {rows[0]['file_name']}")

    def _append(self, images: "DataFrame", model: Model, transaction: str = "") -> None:
        table = SCORES.path(self._profile)
        append = Append(self._spark, table, transaction)
        if append.is_supported and append.is_done():
            return
        layout = Layout.of(SCORES, table)
        score = self._scoring_with(model, layout)
        if append.is_supported:
            into_files = ScoreIntoFiles(score, layout)
            files = images.mapInArrow(into_files, ADD_ACTIONS).collect()
            if files:
                append.commit([file["action"] for file in files], sum(f["rows"] for f in files))
            return
        append_rows(images.mapInArrow(score, SCORES.columns), table, transaction)

    def _scoring_with(self, model: Model, layout: Layout) -> ScoreBatches:
        """What the workers do, once they have the model."""
        if model.folder not in self._sent:
            # a folder as such reaches only the workers of this process
            archive = shutil.make_archive(model.folder.rstrip("/"), "zip", model.folder)
            self._spark.sparkContext.addArchive(f"{archive}#{Path(model.folder).name}")
            self._sent.add(model.folder)
        return ScoreBatches(
            sent_as=model.folder.rstrip("/").rsplit("/", 1)[-1],
            schema=layout.schema,
            model=model.version.name,
            model_version=str(model.version.version),
            scored_at=datetime.now(UTC),
            score_run_id=self._run_id,
        )


class _ScoredArrivals(Arrivals):
    """The ledger of the files of a folder that an alias scored: not the one of ingest."""

    def __init__(self, profile: Profile, source: str, alias: str):
        super().__init__(profile, f"scored {source} by {alias}")
