"""Tune: hyperparameters by Hyperopt's TPE, the trials in parallel on Spark."""

from contextlib import contextmanager

import mlflow
from pydantic import Field

from steps.tracking.dataset import log_delta_version
from steps.tracking.outputs import IngestOutputs, TuneOutputs
from steps.tracking.step import Step, StepRun
from steps.training.selection import SelectionParameters


class Parameters(SelectionParameters):
    """Search learning rate, width and dropout of the compact network by short trainings."""

    ingest_run_id: str = Field("latest", description="run of ingest whose pictures are used")
    trials: int = Field(4, ge=1, description="number of trials")
    parallelism: int = Field(2, ge=1, description="trials at the same time")
    epochs: int = Field(10, ge=1, description="epochs of a trial")
    batch_size: int = Field(16, ge=1, description="pictures a batch")
    seed: int = Field(0, ge=0, description="of the search and of each trial's weights")


def tune(run: StepRun, parameters: Parameters) -> TuneOutputs:
    """Fill the cache if need be, run the trials, keep the best."""
    from steps.lake.session import spark_session
    from steps.training.cache import find_or_fill
    from steps.training.fit import Plan
    from steps.training.search import search

    selection = parameters.selection(run.read("ingest", IngestOutputs))
    log_delta_version(selection.table, selection.version, "tuning")
    plan = Plan(
        network="compact",
        width=1.0,
        dropout=0.0,
        weights="none",
        learning_rate=0.0,
        batch_size=parameters.batch_size,
        epochs=parameters.epochs,
        seed=parameters.seed,
    )
    with spark_session(run.profile, "tune") as spark:

        @contextmanager
        def session():
            yield spark

        cache = find_or_fill(selection, run.profile, session)
        trials = search(
            spark,
            plan,
            cache,
            parameters.trials,
            parameters.parallelism,
            parameters.seed,
            mlflow.get_tracking_uri(),
            run.id,
        )
    best = trials[0]
    mlflow.log_metrics(
        {"validation_loss": best.validation_loss, "validation_accuracy": best.validation_accuracy}
    )
    run.card.headline("trials", len(trials))
    run.card.headline("best validation loss", f"{best.validation_loss:.4f}")
    names = list(best.hyperparameters)
    run.card.table(
        "Trials, best first",
        ["run", *names, "validation loss", "accuracy"],
        [
            [
                trial.run_id[:8],
                *(round(trial.hyperparameters[name], 5) for name in names),
                round(trial.validation_loss, 4),
                round(trial.validation_accuracy, 4),
            ]
            for trial in trials
        ],
    )
    run.card.next_command = f"mlflow run . -e train -P tune_run_id={run.id}"
    return TuneOutputs(
        selection=selection,
        best_trial_run_id=best.run_id,
        validation_loss=best.validation_loss,
        hyperparameters=best.hyperparameters,
    )


STEP = Step("tune", Parameters, TuneOutputs, tune, settings=("cache",))

if __name__ == "__main__":
    STEP.main()
