"""Train: the network, on as many Horovod ranks as the profile says."""

import hashlib
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Literal

import mlflow
from pydantic import AfterValidator, Field

from steps.dataset.selection import SelectionParameters
from steps.errors import RunAgain, UserError
from steps.pipeline.delta_dataset import log_delta_version
from steps.pipeline.outputs import IngestOutputs, Selection, TrainOutputs, TuneOutputs
from steps.pipeline.runs import RESUMED
from steps.pipeline.step import NONE, Step, StepRun
from steps.settings.parameters import run_id_parameter
from steps.settings.profile import Profile
from steps.training.networks import MODEL_FILE, validate_network
from steps.training.ranks import horovod_is_built

logger = logging.getLogger("steps")


class Parameters(SelectionParameters):
    """Train a network from the Petastorm cache and judge it on the held-out part."""

    ingest_run_id: str = Field("latest", description="run of ingest whose images are used")
    tune_run_id: str = Field(
        "latest", description="run of tune whose best hyperparameters are used, or none"
    )
    resume_run_id: str = Field(
        "none", description="run of train that was cut off and goes on here, or none"
    )
    network: Annotated[str, AfterValidator(validate_network)] | None = Field(
        None,
        description="compact, MobileNetV2, MobileNetV3Small or EfficientNetV2B0; none: as tuned, "
        "or compact",
    )
    weights: str = Field("none", description="first weights: none, imagenet, or a file")
    learning_rate: float | None = Field(
        None,
        gt=0,
        description="Adam's highest, for a batch of 16: it grows with the square root of the "
        "batch; none: as tuned, or 0.003",
    )
    width: float | None = Field(None, gt=0, description="multiplies channels; none: as tuned, or 1")
    dropout: float | None = Field(None, ge=0, lt=1, description="0–1; none: as tuned, or 0.1")
    augmentation: float | None = Field(
        None, ge=0, le=3, description="its strength, 0 is none; none: as tuned, or 1"
    )
    batch_size: int | None = Field(
        None, ge=1, description="images a batch, over all ranks; none: as tuned, or 16"
    )
    epochs: int = Field(30, ge=1, description="passes over the training part, at most")
    patience: int = Field(
        15, ge=0, description="epochs without a lower validation loss that end it; 0: none do"
    )
    class_weights: bool = Field(True, description="each class counts the same, however rare")
    precision: Literal["auto", "float32", "mixed_float16"] = Field(
        "auto", description="float32, mixed_float16, or auto: mixed where there is a GPU"
    )
    seed: int = Field(0, ge=0, description="of weights, order, augmentation and dropout")
    launcher: Literal["profile", "auto", "horovod", "horovod-spark", "single"] = Field(
        "profile", description="profile, auto, horovod, horovod-spark or single"
    )
    processes: int = Field(0, ge=0, description="Horovod processes; 0: as the profile says")


def train(run: StepRun, parameters: Parameters) -> TrainOutputs:
    """Find the cache, train, keep the best epoch's weights, judge them."""
    from steps.dataset.cache_filling import find_or_fill
    from steps.dataset.split import TEST, VALIDATION
    from steps.evaluation.predictions import predict_by_keras
    from steps.evaluation.slices import slices
    from steps.evaluation.threshold import choose_threshold
    from steps.lake.session import spark_session
    from steps.reports.train import fill_report
    from steps.training.checkpoints import (
        Checkpoints,
        TrainingFingerprint,
        folder_of,
        folders_of,
        last_checkpoint,
        remove_checkpoints,
    )
    from steps.training.launcher import RankKilled, launch, resolve_launcher
    from steps.training.model import network_of
    from steps.training.plan import peak_rate
    from steps.training.stage_timings import Stages
    from steps.training.tensorflow_settings import configure_tensorflow

    stages = Stages()
    launcher, processes = _ranks(parameters, run.profile, resolve_launcher)
    selection = parameters.selection(run.read("ingest", IngestOutputs))
    log_delta_version(selection.table, selection.version, "training")

    def spark():
        return spark_session(run.profile, "train")

    tuned = _tuned(run, selection)
    plan = _plan(parameters, tuned)
    setting = TrainingFingerprint(plan, selection, processes)
    start, resumed = None, parameters.resume_run_id
    if resumed != NONE:
        start = last_checkpoint(run.profile, resumed, setting)
        mlflow.set_tag(RESUMED, resumed)
    mlflow.log_dict(setting.values(), "setting.json")
    with stages.of("cache"):
        cache = find_or_fill(selection, run.profile, spark)
    checkpoints = Checkpoints(folder_of(run.profile, run.id), setting)
    with stages.of("launch"):
        try:
            with _kept(run, checkpoints.folder, resumes=start is not None):
                fitted = launch(launcher, processes, plan, cache, spark, run.id, checkpoints, start)
        except RankKilled as error:
            raise UserError(str(error), RunAgain()) from error
    epochs = fitted.epochs[len(start.fitted.epochs) if start else 0 :]
    stages.part("launch", "epochs", sum(epoch["epoch_seconds"] for epoch in epochs))

    configure_tensorflow(plan.threads)  # of this process, where the ranks had their own
    model = network_of(plan, cache)
    model.set_weights(fitted.weights)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, MODEL_FILE))
        mlflow.log_artifact(str(Path(folder, MODEL_FILE)))
    with stages.of("judging"):
        threshold = choose_threshold(predict_by_keras(model, cache, VALIDATION))
        test = predict_by_keras(model, cache, TEST, threshold=threshold)
        metrics = test.metrics()
        mlflow.log_metrics({f"test_{name}": value for name, value in metrics.items()})
        by_slice = slices(test)
        mlflow.log_dict([asdict(one) for one in by_slice], "slices.json")
    fill_report(run.report, test, by_slice, fitted, cache, peak_rate(plan, processes))
    stages.show(run.report)
    run.report.next_command = run.commands.next("register", train_run_id=run.id)
    for folder in folders_of(run.profile, run.id):
        remove_checkpoints(folder)
    return TrainOutputs(
        selection=selection,
        labels=cache.labels,
        network=plan.network,
        launcher=launcher,
        processes=processes,
        epochs=len(fitted.epochs),
        metrics=metrics,
        threshold=threshold,
    )


@contextmanager
def _kept(run: StepRun, folder: str, resumes: bool) -> Iterator[None]:
    """Around the epochs: whatever ends the run from here on, it goes on from the last one kept."""
    from steps.training.checkpoints import has_checkpoint

    try:
        yield
    finally:
        with suppress(Exception):  # the store of the checkpoints may be what failed
            if resumes or has_checkpoint(folder):
                inputs = {run_id_parameter(step): run_id for step, run_id in run.inputs.items()}
                run.commands.resume_with(resume_run_id=run.id, **inputs)


def _ranks(parameters: Parameters, profile: Profile, resolve) -> tuple[str, int]:
    launcher = resolve(_wanted_launcher(parameters, profile))
    return (
        launcher,
        1 if launcher == "single" else parameters.processes or profile.training.processes,
    )


def _wanted_launcher(parameters: Parameters, profile: Profile) -> str:
    return profile.training.launcher if parameters.launcher == "profile" else parameters.launcher


def _tuned(run: StepRun, selection: Selection) -> dict[str, float | int | str]:
    """The best hyperparameters of the search; none where there was none."""
    if "tune" not in run.inputs:
        return {}
    searched = run.read("tune", TuneOutputs)
    if searched.selection != selection:
        logger.warning(
            "hyperparameters are taken from run %s, which searched other images, or parted them "
            "otherwise; pass -P tune_run_id=<another> or none",
            run.inputs["tune"],
        )
    return searched.hyperparameters


def _plan(parameters: Parameters, tuned: dict[str, float | int | str]):
    """What a parameter says counts, then what was tuned, then the defaults."""
    from steps.training.plan import Plan

    named = {field.name for field in fields(Plan)} & set(Parameters.model_fields)
    given = parameters.model_dump(include=named, exclude_none=True)
    return Plan(**(tuned | given))


def _state(parameters: Parameters, profile: Profile) -> str:
    """What `auto` means here, and what is in a file of weights."""
    built = horovod_is_built() if _wanted_launcher(parameters, profile) == "auto" else None
    weights = Path(parameters.weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else ""
    return f"{built} {digest}"


def _resumable(run_id: str, profile: Profile) -> bool:
    from steps.training.checkpoints import folders_of, has_checkpoint

    return any(map(has_checkpoint, folders_of(profile, run_id)))


STEP = Step(
    "train",
    Parameters,
    TrainOutputs,
    train,
    settings=("training.launcher", "training.processes"),
    state=_state,
    resumable=_resumable,
)

if __name__ == "__main__":
    STEP.main()
