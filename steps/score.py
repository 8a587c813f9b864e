"""Score: pictures in Delta, by the released model, on Spark."""

import tempfile

import mlflow
from mlflow.entities.model_registry import ModelVersion
from pydantic import Field

from steps.settings.parameters import StepParameters
from steps.settings.profile import Profile
from steps.tracking.dataset import log_delta_version
from steps.tracking.outputs import IngestOutputs, ScoreOutputs
from steps.tracking.registry import CHAMPION, alias_state, require_version
from steps.tracking.step import Step, StepRun


class Parameters(StepParameters):
    """Score the pictures that this version of the model has not scored yet."""

    ingest_run_id: str = Field("latest", description="run of ingest whose pictures are scored")
    alias: str = Field(CHAMPION, description="which released version scores")


def score(run: StepRun, parameters: Parameters) -> ScoreOutputs:
    """Fetch the model from the registry, score what is new to it, append to `scores`."""
    from steps.lake.scores import append_scores
    from steps.lake.session import spark_session
    from steps.lake.tables import current_version, open_table

    pictures = run.read("ingest", IngestOutputs)
    version = require_version(f"{run.profile.model}-onnx", parameters.alias, made_by="export")
    log_delta_version(pictures.table, pictures.version, "scoring")
    with tempfile.TemporaryDirectory() as folder, spark_session(run.profile, "score") as spark:
        append_scores(spark, run.profile, pictures, _files(version, folder), version, run.id)
        table = open_table(spark, run.profile, "scores")
        mine = table.toDF().where(f"score_run_id = '{run.id}'")
        by_label = sorted(map(tuple, mine.groupBy("label").count().collect()), key=str)
        unreadable = mine.where("reason IS NOT NULL").count()
        outputs = ScoreOutputs(
            table=f"{run.profile.lake}/scores",
            version=current_version(table),
            scored=sum(count for _, count in by_label) - unreadable,
            unreadable=unreadable,
            model=version.name,
            model_version=str(version.version),
        )
    mlflow.log_metrics({"scored": outputs.scored, "unreadable": outputs.unreadable})
    run.card.headline("scored", outputs.scored)
    run.card.headline("model", f"{version.name} version {version.version}")
    run.card.table("By label", ["label", "pictures"], [list(row) for row in by_label])
    return outputs


def _files(version: ModelVersion, folder: str) -> str:
    return mlflow.artifacts.download_artifacts(
        artifact_uri=f"models:/{version.name}/{version.version}/artifacts", dst_path=folder
    )


def _state(parameters: Parameters, profile: Profile) -> str:
    return alias_state(f"{profile.model}-onnx", parameters.alias)


STEP = Step("score", Parameters, ScoreOutputs, score, settings=("model", "lake"), state=_state)

if __name__ == "__main__":
    STEP.main()
