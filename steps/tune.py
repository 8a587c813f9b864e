"""Tune: hyperparameters by Hyperopt's TPE, the trials in parallel on Spark."""

from contextlib import ExitStack, nullcontext

import mlflow
from pydantic import Field

from steps.dataset.selection import SelectionParameters
from steps.errors import UserError
from steps.pipeline.delta_dataset import log_delta_version
from steps.pipeline.outputs import IngestOutputs, TuneOutputs
from steps.pipeline.runs import RESUMED
from steps.pipeline.step import NONE, Step, StepRun
from steps.settings.profile import Profile


class Parameters(SelectionParameters):
    """Search the profile's space of hyperparameters by short trainings."""

    ingest_run_id: str = Field("latest", description="run of ingest whose images are used")
    resume_run_id: str = Field(
        "none", description="run of tune that was cut off, whose trials count here, or none"
    )
    trials: int = Field(4, ge=1, description="number of trials")
    parallelism: int = Field(2, ge=1, description="trials at the same time")
    epochs: int = Field(10, ge=1, description="epochs of a trial")
    patience: int = Field(
        0, ge=0, description="trials without a lower loss that end the search; 0: none do"
    )
    minutes: float | None = Field(None, gt=0, description="time limit of the search; none: none")
    seed: int = Field(0, ge=0, description="of the search and of each trial's weights")


def tune(run: StepRun, parameters: Parameters) -> TuneOutputs:
    """Fill the cache if need be, run the trials, keep the best."""
    from steps.dataset.cache import cache_name
    from steps.dataset.cache_filling import find_or_fill
    from steps.lake.session import spark_session
    from steps.reports.tune import fill_report
    from steps.training.plan import Plan
    from steps.training.stage_timings import Stages
    from steps.tuning.search import Limits, search
    from steps.tuning.trials import FAILED

    stages = Stages()
    space = _space(run.profile)
    selection = parameters.selection(run.read("ingest", IngestOutputs))
    log_delta_version(selection.table, selection.version, "tuning")
    searched = f"{cache_name(selection)} {parameters.epochs} {space.model_dump_json()}"
    mlflow.set_tag("searched", searched)
    before = _before(parameters.resume_run_id, searched)
    run.commands.resume_with(resume_run_id=run.id, ingest_run_id=run.inputs["ingest"])
    plan = Plan(epochs=parameters.epochs, seed=parameters.seed)
    limits = Limits(
        parameters.trials,
        parameters.parallelism,
        parameters.minutes and parameters.minutes * 60,
        parameters.patience,
    )
    with ExitStack() as spark_lives:
        with stages.of("spark"):
            spark = spark_lives.enter_context(spark_session(run.profile, "tune"))
        with stages.of("cache"):
            cache = find_or_fill(selection, run.profile, lambda: nullcontext(spark))
        with stages.of("trials"):
            trials = search(
                spark,
                plan,
                cache,
                space,
                limits,
                parameters.seed,
                mlflow.get_tracking_uri(),
                run.id,
                before,
            )
    failed = [trial for trial in trials if trial.outcome == FAILED]
    if len(failed) == len(trials):
        run.commands.resume_with()  # not with the failed ones, which would count
        why = failed[-1].error if failed else "the time limit came before the first"
        raise UserError(
            f"no trial came to an end ({' '.join(why.split())[:200]}); change tuning in the "
            "profile, or pass more -P minutes"
        )
    best = min(trials, key=lambda trial: trial.validation_loss)
    mlflow.log_metrics(
        {"validation_loss": best.validation_loss, "validation_accuracy": best.validation_accuracy}
    )
    fill_report(run.report, trials, space)
    stages.show(run.report)
    run.report.next_command = run.commands.next(
        "train", ingest_run_id=run.inputs["ingest"], tune_run_id=run.id
    )
    return TuneOutputs(
        selection=selection,
        best_trial_run_id=best.run_id,
        validation_loss=best.validation_loss,
        hyperparameters=best.hyperparameters,
        finished=len(trials) - len(failed),
        failed=len(failed),
    )


def _space(profile: Profile):
    if profile.tuning is None:
        raise UserError(
            f"profile {profile.name} has no search space: add tuning.space to it, as in "
            "profiles/local.yaml"
        )
    return profile.tuning.space


def _before(resumed: str, searched: str) -> list:
    """The trials of the search that goes on here."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    from steps.tuning.trials import trials_before

    if resumed == NONE:
        return []
    try:
        tags = MlflowClient().get_run(resumed).data.tags
    except MlflowException as error:
        raise UserError(
            f"there is no run {resumed!r}; pass -P resume_run_id=<ID of a run of tune> or none"
        ) from error
    if tags.get("searched") != searched:
        raise UserError(
            f"run {resumed} searched another space, other images or with other epochs: "
            "pass its parameters, inputs and profile again, or leave out -P resume_run_id"
        )
    mlflow.set_tag(RESUMED, resumed)
    return trials_before(resumed)


def _resumable(run_id: str, profile: Profile) -> bool:
    from steps.tuning.trials import FAILED, trials_before

    return any(trial.outcome != FAILED for trial in trials_before(run_id))


STEP = Step("tune", Parameters, TuneOutputs, tune, settings=("tuning",), resumable=_resumable)

if __name__ == "__main__":
    STEP.main()
