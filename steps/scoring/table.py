"""The table of scores, filled by Spark's workers through the scoring core.

Two things are scored: rows of ``images`` that a version of the model has not scored yet, and the
files of a folder that are new since the last time. For the files there is a ledger of arrivals
for each alias that scores them, besides that of ingest: an alias scores a file once, whatever is
interrupted, and whichever version it names by then.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from steps.ingestion.file_name import parse_file_name
from steps.ingestion.rows import Rules
from steps.ingestion.tables import IMAGES, SCORES, path_is_under
from steps.lake.delta_log import DeltaLog
from steps.lake.worker_append import append_by_workers
from steps.landing.arrivals import Arrivals, Chunk, Limits
from steps.landing.listing import list_landing_zone
from steps.landing.place import normalize
from steps.pipeline.outputs import IngestOutputs
from steps.scoring.worker import Stored, as_it_is, score_images
from steps.settings.profile import Profile

LIMITS = Limits(files=20_000, bytes=8_000_000_000)
"""Of a batch of files, of which a worker holds a few at a time."""

KEYS = ["path", "sha256"]
"""What identifies an image, in both tables."""

MOST_BYTES, MOST_ROWS = 32_000_000, 200_000
"""The size of ``scores``, and the number of images that lack an answer, up to which each task gets
the keys of all: the JVM holds them in memory."""


@dataclass(frozen=True)
class ScoringModel:
    """A registered model whose scores of images fill the table.

    Attributes:
        name, number: of the registered version that was promoted, by which people know it.
        folder: the files of its release, as Spark sends them to workers.
    """

    name: str
    number: str
    folder: str


def ledger_of(profile: Profile, source: str, alias: str) -> str:
    """Return where it is noted what an alias scored of a folder; of ``images`` if that is empty.

    A run that scores locks it, so that of two at once one scores.
    """
    return _arrivals(profile, source and normalize(source), alias).home


def _size(table: str) -> int:
    """Return the bytes of a table's newest version."""
    log = DeltaLog(table)
    return sum(log.read(log.versions[-1]).files.values())


def _arrivals(profile: Profile, source: str, alias: str) -> Arrivals:
    """Return the ledger of the files of a folder that an alias scored: not the one of ingest."""
    return Arrivals(profile, f"scored {source} by {alias}")


@dataclass
class Scoring:
    """Appends to ``scores`` with the model that the registry names when a batch begins.

    Args:
        spark: the session.
        profile: says where the tables are.
        alias: whose files are scored, such as ``package-onnx@champion``.
        model: gives the model that the alias names now; asked once a batch.
        run_id: the run that scores; on every row.
        scored_by: name and number of the version that scored last; None before the first.
    """

    spark: SparkSession
    profile: Profile
    alias: str
    model: Callable[[], ScoringModel]
    run_id: str
    scored_by: tuple[str, str] | None = field(default=None, init=False)
    _sent: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        SCORES.open(self.spark, self.profile)

    def score_images(self, ingested: IngestOutputs) -> None:
        """Score the rows of ``images`` that the model of now has not scored yet.

        Args:
            ingested: which rows, at which Delta version.
        """
        model = self.model()
        name = model.name.replace("\\", "\\\\").replace("'", "\\'")
        known = (
            SCORES.read(self.spark, self.profile)
            .where(f"model = '{name}' AND model_version = '{model.number}'")
            .select(*KEYS)
        )
        images = (
            IMAGES.read(self.spark, self.profile, ingested.version)
            .where(path_is_under(ingested.source))
            .where("replaced_at IS NULL")
            .select("path", "device_id", "sha256", "content")
        )
        missing = images.select(*KEYS).join(known, KEYS, "left_anti")
        if _size(SCORES.path(self.profile)) <= MOST_BYTES:
            images = images.join(known.hint("broadcast"), KEYS, "left_anti")
        elif missing.limit(MOST_ROWS + 1).count() <= MOST_ROWS:
            images = images.join(missing.hint("broadcast"), KEYS, "left_semi")
        else:  # Spark sorts the images, which takes longer and holds few
            images = images.join(missing, KEYS, "left_semi")
        self._append(images, model)

    def score_files(self, source: str, may_write: Callable[[], None] = lambda: None) -> int:
        """Score the files of a folder that are new to the alias; return how many.

        Args:
            source: folder or URI.
            may_write: raises if another run writes to the ledger; called before anything is
                noted, and before each chunk.
        """
        landing = list_landing_zone(source, may_be_empty=True)
        source = landing.source
        arrivals = _arrivals(self.profile, source, self.alias)
        pattern, masks = self.profile.file_name, self.profile.privacy_masks
        stored = Rules(source, pattern, privacy_masks=masks).stored  # as ingest would keep them

        def score_chunk(chunk: Chunk) -> None:
            parse = partial(parse_file_name, source=source, pattern=pattern)
            files = [(file.path, parse(file.path).device_id) for file in chunk.files]
            images = self.spark.createDataFrame(files, "path STRING, device_id STRING")
            # the chunk's name is the transaction under which Delta takes its rows once
            transaction = f"scores {chunk.name}"
            self._append(images, self.model(), transaction, stored)

        return arrivals.process_new(landing.files, LIMITS, score_chunk, may_write)

    def _append(
        self,
        images: DataFrame,
        model: ScoringModel,
        transaction: str = "",
        stored: Stored = as_it_is,
    ) -> None:
        folder = model.folder.rstrip("/")
        if folder not in self._sent:
            # a folder as such reaches only the workers of this process
            archive = shutil.make_archive(folder, "zip", folder)
            self.spark.sparkContext.addArchive(f"{archive}#{Path(folder).name}")
            self._sent.add(folder)
        constant = {
            "model": model.name,
            "model_version": model.number,
            "scored_by": "spark",
            "scored_at": datetime.now(UTC),
            "score_run_id": self.run_id,
        }
        score = partial(score_images, model=Path(folder).name, constant=constant, stored=stored)
        append_by_workers(images, score, SCORES, SCORES.path(self.profile), transaction)
        self.scored_by = model.name, model.number
