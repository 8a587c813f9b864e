"""Ingest: pictures from the landing zone into Delta, with their metadata and statistics."""

import io
from typing import TYPE_CHECKING

import mlflow
from pydantic import Field

from steps.lake.landing import look
from steps.settings.parameters import StepParameters
from steps.settings.profile import Profile
from steps.tracking.dataset import log_delta_version
from steps.tracking.outputs import IngestOutputs
from steps.tracking.step import Step, StepRun

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Parameters(StepParameters):
    """Take new pictures from a landing zone into the tables `images` and `quarantine`."""

    source: str = Field("data/landing", description="folder or URI with pictures; subfolders count")


def ingest(run: StepRun, parameters: Parameters) -> IngestOutputs:
    """Stream what is new, then say what the tables hold of this source."""
    from steps.lake.session import spark_session
    from steps.lake.stream import take_in
    from steps.lake.tables import current_version, open_table, path_is_under

    landing = look(parameters.source)
    with spark_session(run.profile, "ingest") as spark:
        take_in(spark, run.profile, landing.source, run.id)
        images = open_table(spark, run.profile, "images")
        version = current_version(images)
        here = images.toDF().where(path_is_under(landing.source))
        quarantined = (
            open_table(spark, run.profile, "quarantine").toDF().where(path_is_under(landing.source))
        )
        outputs = IngestOutputs(
            table=f"{run.profile.lake}/images",
            version=version,
            source=landing.source,
            images=here.count(),
            new_images=here.where(f"ingest_run_id = '{run.id}'").count(),
            quarantined=quarantined.count(),
            labels=_labels(here),
        )
        log_delta_version(outputs.table, version, "ingest")
        _fill_card(run, outputs, here, quarantined)
    mlflow.log_metrics(
        {
            "images": outputs.images,
            "new_images": outputs.new_images,
            "quarantined": outputs.quarantined,
        }
    )
    return outputs


def _labels(images: "DataFrame") -> dict[str, int]:
    counts = images.where("label IS NOT NULL").groupBy("label").count().collect()
    return {row["label"]: row["count"] for row in sorted(counts)}


def _fill_card(
    run: StepRun, outputs: IngestOutputs, images: "DataFrame", quarantined: "DataFrame"
) -> None:
    from PIL import Image
    from pyspark.sql import functions as F

    run.card.headline("pictures", outputs.images)
    run.card.headline("new", outputs.new_images)
    run.card.headline("in quarantine", outputs.quarantined)
    hours = (
        images.groupBy("label", F.hour("captured_at").alias("hour"))
        .agg(F.count("*").alias("pictures"), F.avg(F.col("statistics")[0]["mean"]).alias("red"))
        .orderBy("label", "hour")
        .collect()
    )
    run.card.table(
        "By label", ["label", "pictures"], [[label, n] for label, n in outputs.labels.items()]
    )
    run.card.plot("By hour of the day", _by_hour(hours), "Pictures by capture time (UTC).")
    samples = (
        images.withColumn(
            "place", F.expr("row_number() OVER (PARTITION BY label ORDER BY xxhash64(sha256))")
        )
        .where("place <= 6")
        .orderBy("label", "place")
        .select("label", "file_name", "content")
        .limit(36)
        .collect()
    )
    run.card.pictures(
        "Samples of each label",
        [
            (f"{row['label']} · {row['file_name']}", Image.open(io.BytesIO(row["content"])))
            for row in samples
        ],
    )
    reasons = quarantined.groupBy("reason").agg(
        F.count("*").alias("files"), F.min("file_name").alias("example")
    )
    if rows := reasons.orderBy("reason").collect():
        run.card.table(
            "In quarantine", ["reason", "files", "for instance"], [list(r) for r in rows]
        )
    run.card.next_command = f"mlflow run . -e tune -P ingest_run_id={run.id}"


def _by_hour(rows: list):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.4))
    axes = figure.subplots()
    bottom = [0] * 24
    for label in sorted({str(row["label"]) for row in rows}):
        counts = [0] * 24
        for row in rows:
            if str(row["label"]) == label and row["hour"] is not None:
                counts[row["hour"]] += row["pictures"]
        axes.bar(range(24), counts, bottom=bottom, label=label)
        bottom = [a + b for a, b in zip(bottom, counts, strict=True)]
    axes.set_xticks(range(0, 24, 3))
    axes.set_xlabel("hour")
    axes.set_ylabel("pictures")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(title="label", frameon=False)
    return figure


def _state(parameters: Parameters, profile: Profile) -> str:
    return look(parameters.source).fingerprint


def _holds(outputs: IngestOutputs, profile: Profile) -> str | None:
    import fsspec

    log = f"{outputs.table}/_delta_log/{outputs.version:020}.json"
    filesystem, path = fsspec.core.url_to_fs(log)
    return None if filesystem.exists(path) else f"version {outputs.version} of the table is gone"


STEP = Step(
    "ingest",
    Parameters,
    IngestOutputs,
    ingest,
    settings=("lake", "file_name"),
    state=_state,
    holds=_holds,
)

if __name__ == "__main__":
    STEP.main()
