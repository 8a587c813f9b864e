"""Tune: hyperparameters by Hyperopt's TPE, the trials in parallel on Spark."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from pydantic import Field
from pyspark.sql import SparkSession

from steps.dataset.cache import cache_name
from steps.dataset.cache_filling import find_or_fill
from steps.dataset.selection import INPUT_TAGS, NetworkInput, prepared_for
from steps.dataset.split import describe_guard
from steps.environment import NESTED
from steps.errors import UserError
from steps.lake.session import spark_session
from steps.lake.workers import importing_workers
from steps.pipeline.delta_dataset import log_delta_version
from steps.pipeline.outputs import IngestOutputs, Selection, TuneOutputs
from steps.pipeline.runs import LATEST, NONE, RESUMED
from steps.pipeline.step import Step, StepRun
from steps.settings.profile import Profile
from steps.settings.search_space import SearchSpace
from steps.training.networks import FROZEN
from steps.training.plan import Plan
from steps.training.plan_parameters import NetworkParameters
from steps.tuning.hyperopt_space import narrow_space
from steps.tuning.trials import FAILED, Trial, read_trials

if TYPE_CHECKING:
    from steps.tuning.contest import Entry

SEARCHED = "searched"
"""Tag of a run: what a search that resumes it has to have the same."""

IN_WORKERS = ("keras", "petastorm.reader", "steps.tuning.trials")
"""What the workers of Spark import: with it, a trial began five seconds later."""

logger = logging.getLogger("steps")


class Parameters(NetworkParameters):
    """Search the profile's space of hyperparameters by short trainings."""

    ingest_run_id: str = Field(LATEST, description="run of ingest whose images are used")
    resume_run_id: str = Field(NONE, description="interrupted run of tune to resume, or none")
    trials: int = Field(4, ge=1, description="number of trials")
    parallelism: int = Field(2, ge=1, description="trials at the same time")
    epochs: int = Field(10, ge=1, description="epochs of a trial")
    patience: int = Field(0, ge=0, description="trials without a lower loss that end it; 0: never")
    minutes: float | None = Field(None, gt=0, description="time limit of the search, or none")
    seed: int = Field(Plan.seed, ge=0, description="of the search and of the initial weights")


def tune(run: StepRun, parameters: Parameters) -> TuneOutputs:
    """Fill the cache if there is none, run the trials, and return the best one."""
    space = _tuning_space(run.profile)
    contenders = parameters.network_inputs(_networks(space))
    ingested = run.read("ingest", IngestOutputs)
    selection = parameters.selection(ingested, contenders[0][0], run.profile.regions)
    log_delta_version(selection.table, selection.version, "tuning")
    names = [cache_name(prepared_for(way, selection)) for ways in contenders for way in ways]
    searched = f"{names} {parameters.epochs} {space.model_dump_json()}"
    mlflow.set_tag(SEARCHED, searched)
    before = _read_trials(parameters.resume_run_id, searched)
    plan = Plan(epochs=parameters.epochs, seed=parameters.seed, patience=0)
    with ThreadPoolExecutor(1) as meanwhile, ExitStack() as until_stopped:
        meanwhile.submit(import_module, "steps.tuning.contest")  # for a second or two
        with run.timings.measure("spark"):
            spark = until_stopped.enter_context(spark_session(run.profile, "tune"))
            until_stopped.enter_context(importing_workers(spark, *IN_WORKERS))
        from steps.reports.tune import fill_report
        from steps.tuning.contest import hold_contest
        from steps.tuning.learning_curve import find_learning_curve
        from steps.tuning.search import Limits

        with run.timings.measure("cache"):
            entries = _enter_networks(run, contenders, selection, plan, spark)
        with run.timings.measure("trials"):
            curve = meanwhile.submit(find_learning_curve, entries)
            if NESTED in os.environ:
                meanwhile.submit(import_module, "keras")  # for train, which follows
            seconds = parameters.minutes and parameters.minutes * 60
            limits = Limits(parameters.trials, parameters.parallelism, seconds, parameters.patience)
            trials, winner = hold_contest(spark, entries, space, limits, run.id, before)
    best, failed = _best(trials), sum(trial.outcome == FAILED for trial in trials)
    for name in ("validation_loss", "validation_accuracy"):
        mlflow.log_metric(name, getattr(best, name))
    fill_report(run.report, trials, narrow_space(space, best.network), entries, curve.result())
    runs = {"ingest_run_id": run.inputs["ingest"], "tune_run_id": run.id}
    run.report.next_command = run.commands.next("train", **runs)
    return TuneOutputs(
        selection=winner.selection,
        best_trial_run_id=best.run_id,
        validation_loss=best.validation_loss,
        hyperparameters=best.hyperparameters,
        finished=len(trials) - failed,
        failed=failed,
    )


def _tuning_space(profile: Profile) -> SearchSpace:
    if profile.tuning is None:
        raise UserError(
            f"profile {profile.name} has no search space: add tuning.space to it, as in "
            "profiles/local.yaml"
        )
    return profile.tuning.space


def _networks(space: SearchSpace) -> list[str]:
    return list(map(str, space.network.choices)) if space.network else [Plan.network]


def _enter_networks(
    run: StepRun,
    contenders: list[list[NetworkInput]],
    selection: Selection,
    plan: Plan,
    spark: SparkSession,
) -> list["Entry"]:
    """Prepare the images for each network, and leave out those that cost a device too much."""
    from steps.reports.promotion_outlook import warn_of_refusal
    from steps.tuning.contest import enter_contest, within_limits, worth_a_contest

    cache = find_or_fill(selection, run.profile, partial(nullcontext, spark))
    logger.info(describe_guard(cache.counts))
    has_frozen = any(ways[0].network in FROZEN for ways in contenders)
    warn_of_refusal(run.report, cache, run.profile, selection.source, has_frozen)
    shared = selection, cache.labels, plan, run.profile, spark
    entries = [enter_contest(ways, *shared) for ways in contenders]
    return worth_a_contest(within_limits(entries, run.profile.promotion))


def _best(trials: list[Trial]) -> Trial:
    """Return the trial with the lowest loss.

    Raises:
        UserError: none finished.
    """
    done = [trial for trial in trials if trial.outcome != FAILED]
    if not done:
        error = trials[-1].error if trials else "the time limit came before the first"
        raise UserError(
            f"no trial finished ({' '.join(error.split())[:200]}); change tuning in the profile, "
            "or pass more -P minutes"
        )
    return min(done, key=lambda trial: trial.validation_loss)


def _read_trials(resumed: str, searched: str) -> list[Trial]:
    """Return the trials of the search that is resumed."""
    if resumed == NONE:
        return []
    try:
        tags = MlflowClient().get_run(resumed).data.tags
    except MlflowException as error:
        raise UserError(
            f"{resumed!r} is not a run; pass -P resume_run_id=<ID of a run of tune> or none"
        ) from error
    if tags.get(SEARCHED) != searched:
        raise UserError(
            f"run {resumed} searched another space, other images or with other epochs: "
            "pass its parameters, inputs and profile again, or leave out -P resume_run_id"
        )
    mlflow.set_tag(RESUMED, resumed)
    return read_trials(resumed)


def _resumable(run_id: str, profile: Profile) -> bool:
    """Return whether a search has a trial that did not fail: the failed ones would count too."""
    return any(trial.outcome != FAILED for trial in read_trials(run_id))


SETTINGS = ("tuning", "regions", "promotion.max_latency_ms", "promotion.max_onnx_bytes")

STEP = Step.of(tune, settings=SETTINGS, input_tags=INPUT_TAGS, resumable=_resumable)

if __name__ == "__main__":
    STEP.main()
