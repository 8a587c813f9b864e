"""Train: the network, on as many Horovod ranks as the profile says."""

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import mlflow
from pydantic import Field

from steps.audit.audit import audit_network, examine_images
from steps.dataset.cache import Cache
from steps.dataset.cache_filling import OpenSpark, find_or_fill
from steps.dataset.selection import INPUT_TAGS
from steps.dataset.split import TEST, describe_guard
from steps.evaluation.abstention import CALIBRATING, find_abstention
from steps.evaluation.miss_rate import Wish, require_images
from steps.evaluation.predictions import Predictions, keras_predict, predict_by_keras
from steps.evaluation.slices import Slice, slices
from steps.evaluation.threshold import Threshold, count_unseen, find_threshold
from steps.lake.session import spark_session
from steps.pipeline.delta_dataset import log_delta_version
from steps.pipeline.outputs import IngestOutputs, Selection, TrainOutputs, TuneOutputs
from steps.pipeline.runs import LATEST, NONE, RESUMED
from steps.pipeline.step import Step, StepRun
from steps.settings.profile import Profile
from steps.training import checkpoints
from steps.training.feature_cache import find_or_describe
from steps.training.fit_result import Checkpoint
from steps.training.launcher import launch, resolve_launcher, why_one_process
from steps.training.model import assemble, log_model
from steps.training.networks import FROZEN
from steps.training.plan import Plan, peak_rate
from steps.training.plan_parameters import PlanParameters
from steps.training.ranks import horovod_obstacle

if TYPE_CHECKING:
    import keras


logger = logging.getLogger("steps")


class Parameters(PlanParameters):
    """Train a network from the Petastorm cache and evaluate it on the test set."""

    ingest_run_id: str = Field(LATEST, description="run of ingest whose images are used")
    tune_run_id: str = Field(
        LATEST, description="run of tune whose best hyperparameters are used, or none"
    )
    resume_run_id: str = Field(NONE, description="interrupted run of train to resume, or none")
    launcher: Literal["profile", "auto", "horovod", "horovod-spark", "single"] = Field(
        "profile", description="profile, auto, horovod, horovod-spark or single"
    )
    processes: int = Field(0, ge=0, description="Horovod processes; 0: as the profile says")
    max_miss_rate: Wish = Field(
        "",
        description="max_miss_rate.crack=0.01: crack is missed on at most 1 % of its images with "
        "95 % confidence; also max_miss_rate=crack=0.01, which takes labels of any characters",
    )
    max_risk: float = Field(
        0,
        ge=0,
        lt=1,
        description="0.02: at most 2 % of the answers are wrong, with 95 % confidence, and what is "
        "not sure enough is answered by unsure; 0: the model always answers",
    )


def train(run: StepRun, parameters: Parameters) -> TrainOutputs:
    """Find the cache, train, keep the weights of the best epoch, and evaluate them."""
    from steps.reports.abstention import add_risk
    from steps.reports.train import fill_report

    tuned = run.read("tune", TuneOutputs) if "tune" in run.inputs else None
    plan = parameters.plan(tuned.hyperparameters if tuned else {})
    way = parameters.network_input(plan.network, tuned)
    ingested = run.read("ingest", IngestOutputs)
    selection = parameters.selection(ingested, way, run.profile.regions)
    log_delta_version(selection.table, selection.version, "training")
    _warn_of_other_images(run, tuned, selection)
    launcher, processes = _find_ranks(run, parameters, plan, selection, ingested)
    fingerprint = checkpoints.TrainingFingerprint(plan, selection, processes)
    resume_from = _load_checkpoint(run.profile, parameters.resume_run_id, fingerprint)
    spark = partial(spark_session, run.profile, "train")
    with run.timings.measure("cache"):
        cache, learned = _find_caches(run, selection, plan, parameters, spark)
    folder = checkpoints.checkpoint_folder(run.profile, run.id)
    save = partial(checkpoints.save_checkpoint, folder, fingerprint)
    with run.timings.measure("launch"), ThreadPoolExecutor(1) as meanwhile:
        examined = meanwhile.submit(examine_images, cache)
        result = launch(launcher, processes, plan, learned, spark, run.id, save, resume_from)
    epochs = result.epochs[len(resume_from.result.epochs) if resume_from else 0 :]
    run.timings.separate("launch", "epochs", sum(epoch["epoch_seconds"] for epoch in epochs))
    logger.info("the best epoch is %d; evaluating it …", result.best + 1)
    with run.timings.measure("evaluation"):
        model = assemble(plan, learned, result.weights)
        wish, share = parameters.max_miss_rate, CALIBRATING if parameters.max_risk else 1.0
        threshold = find_threshold(wish, model, cache, learned, selection, share)
        abstention = find_abstention(parameters.max_risk, model, cache, threshold)
        shipped = result.shipped(abstention.threshold is not None)
        if shipped is not result.weights:
            model = assemble(plan, learned, shipped)
        log_model(model)
        test, by_slice = _evaluate(model, cache, threshold)
    logger.info("looking for shortcuts and at what the network follows …")
    with run.timings.measure("audit"):
        features = learned if learned.has_features else None
        known = selection, test, examined.result(), features
        audit = audit_network(keras_predict(model), cache, *known)
    validated, rate = audit.cross_validated, peak_rate(plan, processes)
    fill_report(run.report, run.profile, test, by_slice, result, cache, rate, audit, threshold)
    add_risk(run.report, abstention, test)
    run.report.next_command = run.commands.next("register", train_run_id=run.id)
    checkpoints.remove_checkpoints(run.profile, run.id)
    return TrainOutputs(
        selection=selection,
        labels=cache.labels,
        network=plan.network,
        launcher=launcher,
        processes=processes,
        epochs=len(result.epochs),
        metrics=test.metrics(),
        test_images=len(test),
        cross_validated=validated.confusion().tolist() if validated else [],
        threshold=test.threshold,
        threshold_label=test.threshold_label,
        **abstention.calibration._asdict(),
        abstention=abstention.threshold,
        own_splits=cache.own_splits,
        shortcut=audit.shortcut,
        proposed_region=audit.proposed_region,
        line=audit.line,
    )


def _find_ranks(
    run: StepRun,
    parameters: Parameters,
    plan: Plan,
    selection: Selection,
    ingested: IngestOutputs,
) -> tuple[str, int]:
    """Return the launcher and its number of processes, and report them; a given number stays."""
    images = sum(ingested.labels.values())
    one = None if parameters.processes else why_one_process(plan, selection.input_size, images)
    launcher, reason = resolve_launcher(_wanted_launcher(parameters, run.profile), one)
    processes = parameters.processes or run.profile.training.processes
    processes = 1 if launcher == "single" else processes
    shown = f"in one process: {reason}" if reason else f"{launcher}, processes: {processes}"
    run.report.headline("trained", shown)
    return launcher, processes


def _wanted_launcher(parameters: Parameters, profile: Profile) -> str:
    return profile.training.launcher if parameters.launcher == "profile" else parameters.launcher


def _warn_of_other_images(run: StepRun, tuned: TuneOutputs | None, selection: Selection) -> None:
    """Say if the hyperparameters were searched on other images, another split or another size."""
    if tuned and tuned.selection.content() != selection.content():
        logger.warning(
            "the hyperparameters come from run %s, which searched on other images or another "
            "split; pass -P tune_run_id=<another> or none",
            run.inputs["tune"],
        )


def _load_checkpoint(
    profile: Profile, resumed: str, fingerprint: checkpoints.TrainingFingerprint
) -> Checkpoint | None:
    """Return where the run stopped that is resumed; None if none is."""
    if resumed == NONE:
        return None
    checkpoint = checkpoints.load_checkpoint(profile, resumed, fingerprint)
    mlflow.set_tag(RESUMED, resumed)
    return checkpoint


def _find_caches(
    run: StepRun, selection: Selection, plan: Plan, parameters: Parameters, spark: OpenSpark
) -> tuple[Cache, Cache]:
    """Return the images, and what the network learns from: them, or a frozen network's features.

    Warn if they are too few for promotion, and refuse a wish that they are too few for.
    """
    from steps.reports.promotion_outlook import warn_of_refusal

    is_frozen = plan.network in FROZEN
    cache = find_or_fill(selection, run.profile, spark)
    warn_of_refusal(run.report, cache, run.profile, selection.source, is_frozen)
    logger.info(describe_guard(cache.counts))
    require_images(parameters.max_miss_rate, count_unseen(cache, is_frozen))
    return cache, find_or_describe(plan, cache, run.profile, spark)


def _evaluate(
    model: "keras.Model", cache: Cache, threshold: Threshold
) -> tuple[Predictions, list[Slice]]:
    """Return what the network predicts for the test set, and its slices; log their metrics."""
    test = predict_by_keras(model, cache, TEST, None, threshold.value, threshold.label)
    by_slice = slices(test)
    mlflow.log_metrics({f"test_{name}": value for name, value in test.metrics().items()})
    mlflow.log_dict([asdict(one) for one in by_slice], "slices.json")
    return test, by_slice


def _state(parameters: Parameters, profile: Profile) -> str:
    """Return what `auto` means here, and the hash of a file of weights."""
    auto = _wanted_launcher(parameters, profile) == "auto"
    built = horovod_obstacle() is None if auto else None
    weights = Path(parameters.weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else ""
    return f"{built} {digest}"


STEP = Step.of(
    train,
    settings=("training.launcher", "training.processes", "regions"),
    state=_state,
    input_tags=INPUT_TAGS,
    resumable=checkpoints.has_checkpoint,
    optional=("tune",),
    frees_memory=True,
)

if __name__ == "__main__":
    STEP.main()
