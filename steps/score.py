"""Score: images in Delta, or new files, by the released model, on Spark."""

import logging
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
from pydantic import Field, model_validator
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from edge.inference.image import SUFFIXES
from edge.inference.prediction import UNSURE
from steps.errors import UserError
from steps.ingestion.tables import IMAGES, SCORES
from steps.lake.session import spark_session
from steps.lake.table import current_version
from steps.landing.listing import list_landing_zone
from steps.landing.polling import leased_polls, parse_trigger
from steps.pipeline.delta_dataset import log_delta_version
from steps.pipeline.model_names import released_name
from steps.pipeline.outputs import IngestOutputs, ScoreOutputs
from steps.pipeline.run_files import read_outputs
from steps.pipeline.runs import LATEST, NONE, resolve_input
from steps.pipeline.step import Step, StepRun
from steps.registry.aliases import CHAMPION, alias_state, require_version
from steps.registry.versions import source_of
from steps.release.statement import fetch_files
from steps.scoring.table import Scoring, ScoringModel, ledger_of
from steps.settings.parameters import Alias, StepParameters
from steps.settings.profile import Profile

IS_UNSURE = f"""
    label = '{UNSURE}' OR element_at(array_sort(map_values(probabilities)), -1)
    - element_at(array_sort(map_values(probabilities)), -2) < 0.2
"""
"""The model says so, or its likeliest label is less than this above the second, as on a device
(``score.margin``)."""

logger = logging.getLogger("steps")


class Parameters(StepParameters):
    """Score the images that this version of the model has not scored yet.

    With `source`, score the files there that the alias has not scored yet, without ingesting."""

    ingest_run_id: str = Field(
        LATEST, description="run of ingest whose images are scored; none with a source"
    )
    alias: Alias = Field(CHAMPION, description="alias of the released version that scores")
    source: str = Field("", description="folder or URI whose new files are scored")
    trigger: str = Field(
        "available_now",
        description="available_now: once; continuous; or a period, such as '10 minutes'",
    )

    @model_validator(mode="before")
    @classmethod
    def _files_need_no_ingest(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {"ingest_run_id": NONE} | given if given.get("source") else given


def score(run: StepRun, parameters: Parameters) -> ScoreOutputs:
    """Fetch the model from the registry, score what is new to it, append to `scores`."""
    from steps.reports.score import fill_report

    period = parse_trigger(parameters.trigger)
    name = released_name(run.profile.model)
    asked = require_version(name, parameters.alias, made_by="export")  # before Spark starts
    if parameters.source and not list_landing_zone(parameters.source, may_be_empty=True).files:
        logger.warning("%s has no image (%s)", parameters.source, " ".join(SUFFIXES))
    alias = f"{name}@{parameters.alias}"
    with tempfile.TemporaryDirectory() as folder, spark_session(run.profile, "score") as spark:
        model = partial(_fetch_model, name, parameters.alias, folder)  # asked at each batch
        scoring = Scoring(spark, run.profile, alias, model, run.id)
        ledger = ledger_of(run.profile, parameters.source, alias)
        with leased_polls(period, ledger, run.id) as leases:
            for number, held in enumerate(leases):
                if parameters.source:
                    new = scoring.score_files(parameters.source, held.require)
                    if new or number == 0:
                        logger.info("poll %d: %d new files", number + 1, new)
                elif images := _images(run, number):
                    scoring.score_images(images)
        outputs, groups = _outputs(spark, run, scoring.scored_by or source_of(asked))
    mlflow.log_metrics({"scored": outputs.scored, "unreadable": outputs.unreadable})
    fill_report(run.report, outputs, groups)
    run.report.next_command = run.commands.next("upkeep")
    return outputs


def _outputs(
    spark: SparkSession, run: StepRun, model: tuple[str, str]
) -> tuple[ScoreOutputs, list[Row]]:
    """Count the rows of this run; return its outputs, and the counts by version, label, reason.

    Args:
        spark: the session.
        run: whose rows.
        model: name and number of the version that scored last, or would have.
    """
    table = SCORES.open(spark, run.profile)
    own = table.toDF().where(f"score_run_id = '{run.id}'")
    by = own.groupBy("model_version", "label", "reason")
    groups = by.agg(F.count("*").alias("images"), F.count_if(F.expr(IS_UNSURE)).alias("unsure"))
    groups = groups.orderBy(F.desc("images")).collect()
    outputs = ScoreOutputs(
        line=_line(run, model, groups),
        table=SCORES.path(run.profile),
        version=current_version(table),
        scored=sum(group["images"] for group in groups if group["reason"] is None),
        unreadable=sum(group["images"] for group in groups if group["reason"] is not None),
        model=model[0],
        model_version=model[1],
    )
    return outputs, groups


def _line(run: StepRun, model: tuple[str, str], groups: list[Row]) -> str:
    """Return what was found, and the query that shows the least certain images first."""
    if not groups:
        return f"{' '.join(model)} has nothing new to score"
    images, unsure = (sum(group[name] for group in groups) for name in ("images", "unsure"))
    labels = ", ".join(f"{group['label'] or 'unreadable'} {group['images']}" for group in groups)
    kind = ": are they of the kind that the model was trained on?" if unsure > images / 2 else ""
    query = "SELECT * FROM scores WHERE"
    return (
        f"{images} scored by {' '.join(model)}: {labels}; {unsure} unsure "
        f"({unsure / images:.0%}){kind}; see docs/search.md: {query} score_run_id = '{run.id}'"
        " ORDER BY score"
    )


def _fetch_model(name: str, alias: str, folder: str) -> ScoringModel:
    """Return the version that the alias names now, with its files on this machine."""
    version = require_version(name, alias, made_by="export")
    files = Path(folder, f"version-{version.version}")
    if not files.exists():
        logger.info("scoring with %s %s", *source_of(version))
        fetch_files(version, files.with_name(f"{files.name}.part")).rename(files)
    return ScoringModel(*source_of(version), str(files))


def _images(run: StepRun, poll: int) -> IngestOutputs | None:
    """Return the ingested images to score: at the first poll those that were asked for, later those
    of the newest ingest, or None if that went into another lake."""
    run_id = run.inputs["ingest"] if poll == 0 else resolve_input("ingest", LATEST)
    images = read_outputs(run_id, IngestOutputs)
    if images.table != IMAGES.path(run.profile):
        if poll > 0:
            return None
        raise UserError(
            f"the ingest run wrote to {images.table}, which is not in the lake of profile "
            f"{run.profile.name}; pass -P ingest_run_id=<another> or -P profile=…"
        )
    log_delta_version(images.table, images.version, "scoring")
    return images


def _state(parameters: Parameters, profile: Profile) -> str:
    return alias_state(released_name(profile.model), parameters.alias)


STEP = Step.of(score, settings=("model", "lake"), state=_state)

if __name__ == "__main__":
    STEP.main()
