"""The table of scores, filled by Spark's workers through the scoring core."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from steps.lake.tables import COLUMNS, open_table, path_is_under, table_path
from steps.settings.profile import Profile
from steps.tracking.outputs import IngestOutputs

if TYPE_CHECKING:
    import pyarrow as pa
    from mlflow.entities.model_registry import ModelVersion
    from pyspark.sql import SparkSession

    from edge.scoring import Scorer


def append_scores(
    spark: "SparkSession",
    profile: Profile,
    pictures: IngestOutputs,
    model_folder: str,
    version: "ModelVersion",
    run_id: str,
) -> None:
    """Score the pictures that a version has not scored yet, and append the rows.

    Args:
        spark: the session.
        profile: says where the tables are.
        pictures: which rows of ``images``, at which Delta version.
        model_folder: holds ``model.onnx`` and ``record.json``; sent to every worker.
        version: the registered version; its name and number are on every row.
        run_id: the run that scores.
    """
    from pyspark import SparkFiles

    scores = open_table(spark, profile, "scores").toDF()
    known = scores.where(
        f"model = '{version.name}' AND model_version = '{version.version}'"
    ).select("path", "sha256")
    images = (
        spark.read.format("delta")
        .option("versionAsOf", pictures.version)
        .load(pictures.table)
        .where(path_is_under(pictures.source))
        .where("replaced_at IS NULL")
        .select("path", "sha256", "content")
    )
    spark.sparkContext.addFile(model_folder, recursive=True)
    sent_as = model_folder.rstrip("/").rsplit("/", 1)[-1]
    constant = {
        "model": version.name,
        "model_version": str(version.version),
        "scored_by": "spark",
        "scored_at": datetime.now(UTC),
        "score_run_id": run_id,
    }
    (
        images.join(known, ["path", "sha256"], "left_anti")
        .mapInArrow(_scoring(lambda: SparkFiles.get(sent_as), constant), COLUMNS["scores"])
        .write.format("delta")
        .mode("append")
        .save(table_path(profile, "scores"))
    )


def _scoring(folder: Callable[[], str], constant: dict[str, Any]) -> Callable:
    from pyspark.sql.pandas.types import to_arrow_schema
    from pyspark.sql.types import StructType

    schema = to_arrow_schema(StructType.fromDDL(COLUMNS["scores"]))

    def score_batches(batches: Iterator["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa

        scorer = _scorer(folder())
        for batch in batches:
            rows = [
                {"path": row["path"], "sha256": row["sha256"]}
                | constant
                | _score(scorer, row["content"])
                for row in batch.to_pylist()
            ]
            yield pa.RecordBatch.from_pylist(rows, schema=schema)

    return score_batches


@cache
def _scorer(folder: str) -> "Scorer":
    """One model a worker, however many tasks it runs."""
    from edge.scoring import Scorer

    return Scorer(folder, threads=1)


def _score(scorer: "Scorer", content: bytes) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        probabilities = scorer.score([content])[0]
    except (OSError, ValueError) as error:  # what Pillow says of a damaged picture
        return {"reason": f"{type(error).__name__}: {error}"}
    labels = scorer.record.labels
    return {
        "label": labels[int(probabilities.argmax())],
        "score": float(probabilities.max()),
        "probabilities": list(zip(labels, map(float, probabilities), strict=True)),
        "latency_ms": (time.perf_counter() - started) * 1000,
    }
