"""Train: the network, on as many Horovod ranks as the profile says."""

import tempfile
from pathlib import Path
from typing import Literal

import mlflow
from pydantic import Field

from steps.settings.profile import Profile
from steps.tracking.dataset import log_delta_version
from steps.tracking.outputs import IngestOutputs, TrainOutputs, TuneOutputs
from steps.tracking.step import Step, StepRun
from steps.training.selection import SelectionParameters


class Parameters(SelectionParameters):
    """Train a network from the Petastorm cache and judge it on the held-out part."""

    ingest_run_id: str = Field("latest", description="run of ingest whose pictures are used")
    tune_run_id: str = Field(
        "latest", description="run of tune whose best hyperparameters are used, or none"
    )
    network: str = Field(
        "compact", description="compact, MobileNetV2, MobileNetV3Small or EfficientNetV2B0"
    )
    weights: str = Field("none", description="first weights: none, imagenet, or a file")
    learning_rate: float | None = Field(None, gt=0, description="Adam's; none: as tuned, or 0.003")
    width: float | None = Field(None, gt=0, description="multiplies channels; none: as tuned, or 1")
    dropout: float | None = Field(None, ge=0, lt=1, description="0–1; none: as tuned, or 0.1")
    batch_size: int = Field(16, ge=1, description="pictures a batch, over all ranks together")
    epochs: int = Field(30, ge=1, description="passes over the training part")
    seed: int = Field(0, ge=0, description="of weights, order, augmentation and dropout")
    launcher: Literal["profile", "auto", "horovod", "horovod-spark", "single"] = Field(
        "profile", description="profile, auto, horovod, horovod-spark or single"
    )
    processes: int = Field(0, ge=0, description="Horovod processes; 0: as the profile says")


def train(run: StepRun, parameters: Parameters) -> TrainOutputs:
    """Find the cache, train, keep the best epoch's weights, judge them."""
    from steps.lake.session import spark_session
    from steps.training.cache import find_or_fill
    from steps.training.evaluation import evaluate, keras_predict
    from steps.training.fit import prepare_model
    from steps.training.launcher import launch, resolve_launcher
    from steps.training.networks import MODEL_FILE
    from steps.training.report import fill_card
    from steps.training.split import TEST

    launcher, processes = _ranks(parameters, run.profile, resolve_launcher)
    selection = parameters.selection(run.read("ingest", IngestOutputs))
    log_delta_version(selection.table, selection.version, "training")

    def spark():
        return spark_session(run.profile, "train")

    cache = find_or_fill(selection, run.profile, spark)
    tuned = run.read("tune", TuneOutputs).hyperparameters if "tune" in run.inputs else {}
    plan = _plan(parameters, tuned)
    fitted = launch(launcher, processes, plan, cache, spark, run.id)

    model, _ = prepare_model(plan, cache)
    model.set_weights(fitted.weights)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, MODEL_FILE))
        mlflow.log_artifact(str(Path(folder, MODEL_FILE)))
    held_out = evaluate(keras_predict(model), cache, TEST)
    metrics = held_out.metrics()
    mlflow.log_metrics({f"test_{name}": value for name, value in metrics.items()})
    fill_card(run.card, held_out, fitted, cache)
    run.card.next_command = f"mlflow run . -e register -P train_run_id={run.id}"
    return TrainOutputs(
        selection=selection,
        labels=cache.labels,
        network=plan.network,
        launcher=launcher,
        processes=processes,
        epochs=plan.epochs,
        metrics=metrics,
    )


def _ranks(parameters: Parameters, profile: Profile, resolve) -> tuple[str, int]:
    wanted = profile.training.launcher if parameters.launcher == "profile" else parameters.launcher
    launcher = resolve(wanted)
    return (
        launcher,
        1 if launcher == "single" else parameters.processes or profile.training.processes,
    )


def _plan(parameters: Parameters, tuned: dict[str, float]):
    """What a parameter says counts, then what was tuned, then the defaults."""
    from steps.training.fit import Plan

    chosen = {"learning_rate": 3e-3, "width": 1.0, "dropout": 0.1} | tuned
    given = parameters.model_dump(include=set(chosen), exclude_none=True)
    return Plan(
        network=parameters.network,
        weights=parameters.weights,
        batch_size=parameters.batch_size,
        epochs=parameters.epochs,
        seed=parameters.seed,
        **(chosen | given),
    )


STEP = Step("train", Parameters, TrainOutputs, train, settings=("cache", "training"))

if __name__ == "__main__":
    STEP.main()
