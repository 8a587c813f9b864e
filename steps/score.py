"""Score: images in Delta, or new files, by the released model, on Spark."""

import logging
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
from pydantic import Field, model_validator

from steps.errors import UserError
from steps.ingestion.landing import list_landing_zone
from steps.pipeline.delta_dataset import log_delta_version
from steps.pipeline.outputs import IngestOutputs, ScoreOutputs
from steps.pipeline.run_files import read_outputs
from steps.pipeline.runs import LATEST, resolve_input
from steps.pipeline.step import NONE, Step, StepRun
from steps.registry.versions import CHAMPION, alias_state, released_as, require_version
from steps.release.statement import fetch_files
from steps.settings.parameters import Alias, StepParameters
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from steps.scoring.table import Model

REASONS_SHOWN = 20

logger = logging.getLogger("steps")


class Parameters(StepParameters):
    """Score the images that this version of the model has not scored yet.

    With `source`, score the files there that the alias has not scored yet, as they are."""

    ingest_run_id: str = Field(
        "latest", description="run of ingest whose images are scored; none with a source"
    )
    alias: Alias = Field(CHAMPION, description="which released version scores")
    source: str = Field("", description="folder or URI whose new files are scored")
    trigger: str = Field(
        "available_now",
        description="available_now: once; continuous; or once a period, such as '10 minutes'",
    )

    @model_validator(mode="before")
    @classmethod
    def _files_need_no_ingest(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {"ingest_run_id": NONE} | given if given.get("source") else given


def score(run: StepRun, parameters: Parameters) -> ScoreOutputs:
    """Fetch the model from the registry, score what is new to it, append to `scores`."""
    from steps.ingestion.polling import period_of, polls
    from steps.lake.lease import lease
    from steps.lake.session import spark_session
    from steps.lake.tables import current_version, open_table, table_path
    from steps.scoring.table import Scoring, ledger_of

    period = period_of(parameters.trigger)
    name = released_as(run.profile.model)
    require_version(name, parameters.alias, made_by="export")  # before Spark starts
    if parameters.source:
        list_landing_zone(parameters.source, may_be_empty=True)
    alias = f"{name}@{parameters.alias}"
    with (
        tempfile.TemporaryDirectory() as folder,
        lease(ledger_of(run.profile, parameters.source, alias), run.id) as held,
        spark_session(run.profile, "score") as spark,
    ):
        registry = _Registry(name, parameters.alias, folder)
        scoring = Scoring(spark, run.profile, alias, registry.model, run.id)
        with polls(period) as numbers:
            for number in numbers:
                if parameters.source:
                    new = scoring.score_files(parameters.source, held.require)
                    if new or number == 0:
                        logger.info("look %d: %d new files", number + 1, new)
                elif images := _images(run, number):
                    scoring.score_images(images)
        table = open_table(spark, run.profile, "scores")
        mine = table.toDF().where(f"score_run_id = '{run.id}'")
        groups = mine.groupBy("model_version", "label", "reason").count().collect()
        outputs = ScoreOutputs(
            table=table_path(run.profile, "scores"),
            version=current_version(table),
            scored=sum(group["count"] for group in groups if group["reason"] is None),
            unreadable=sum(group["count"] for group in groups if group["reason"] is not None),
            model=registry.name,
            model_version=str(registry.model().version.version),
        )
    mlflow.log_metrics({"scored": outputs.scored, "unreadable": outputs.unreadable})
    run.report.headline("scored", outputs.scored)
    run.report.headline("unreadable", outputs.unreadable)
    run.report.headline("model", f"{outputs.model} version {outputs.model_version}")
    by_label: Counter = Counter()
    reasons: Counter = Counter()
    for version, label, reason, count in groups:
        by_label[str(version), label or "none"] += count
        if reason is not None:
            reasons[reason] += count
    run.report.table(
        "By label",
        ["version", "label", "images"],
        [[*key, count] for key, count in sorted(by_label.items())],
    )
    if reasons:
        rows = [list(row) for row in reasons.most_common(REASONS_SHOWN)]
        run.report.table("Not scored", ["reason", "images"], rows)
    run.report.next_command = run.commands.next("upkeep")
    return outputs


class _Registry:
    """Asks the registry at each batch which version the alias names, and fetches a new one."""

    def __init__(self, name: str, alias: str, folder: str):
        self.name, self._alias, self._folder = name, alias, Path(folder)

    def model(self) -> "Model":
        """The model of now, its files on this machine."""
        from steps.scoring.table import Model

        version = require_version(self.name, self._alias, made_by="export")
        folder = self._folder / f"version-{version.version}"
        if not folder.exists():
            logger.info("scoring with %s version %s", version.name, version.version)
            fetch_files(version, folder.with_name(f"{folder.name}.part")).rename(folder)
        return Model(version, str(folder))


def _images(run: StepRun, look: int) -> IngestOutputs | None:
    """The rows of the ingest that was asked for; at later looks, those of the newest.

    None where that one is of another lake, which is nobody's mistake.
    """
    from steps.lake.tables import table_path

    if look == 0:
        images = run.read("ingest", IngestOutputs)
    else:
        images = read_outputs(resolve_input("ingest", LATEST), IngestOutputs)
    if images.table != table_path(run.profile, "images"):
        if look > 0:
            return None
        raise UserError(
            f"the run of ingest took its images into {images.table}, which is not in the lake "
            f"of profile {run.profile.name}; pass -P ingest_run_id=<another> or -P profile=…"
        )
    log_delta_version(images.table, images.version, "scoring")
    return images


def _state(parameters: Parameters, profile: Profile) -> str:
    return alias_state(released_as(profile.model), parameters.alias)


STEP = Step("score", Parameters, ScoreOutputs, score, settings=("model", "lake"), state=_state)

if __name__ == "__main__":
    STEP.main()
