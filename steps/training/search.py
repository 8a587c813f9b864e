"""The search for hyperparameters: Hyperopt's TPE, its trials run by Spark."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from steps.training.cache import Cache
from steps.training.fit import Plan, fit
from steps.training.ranks import Alone

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Trial:
    """A finished trial: its MLflow run, its hyperparameters and the loss it reached."""

    run_id: str
    hyperparameters: dict[str, float]
    validation_loss: float
    validation_accuracy: float


def space() -> dict[str, Any]:
    """The search space: the fields of ``Plan`` that are searched, with their distributions."""
    import math

    from hyperopt import hp

    return {
        "learning_rate": hp.loguniform("learning_rate", math.log(1e-3), math.log(6e-3)),
        "width": hp.quniform("width", 0.75, 1.25, 0.25),
        "dropout": hp.uniform("dropout", 0.0, 0.3),
    }


def search(
    spark: "SparkSession",
    plan: Plan,
    cache: Cache,
    trials: int,
    parallelism: int,
    seed: int,
    tracking_uri: str,
    parent_run_id: str,
) -> list[Trial]:
    """Run the trials, each a nested MLflow run, and return them, best first.

    Args:
        spark: runs one trial a task.
        plan: what the trials share; the hyperparameters replace its fields.
        cache: the prepared pictures; every worker has to reach them.
        trials: number of trials.
        parallelism: trials at the same time.
        seed: of TPE.
        tracking_uri: the MLflow store that the workers log to.
        parent_run_id: the run that the trials are nested in.
    """
    import hyperopt
    import numpy as np

    warnings.filterwarnings("ignore", message="Spark session is not provided")  # of one it was
    spark_trials = hyperopt.SparkTrials(parallelism=parallelism, spark_session=spark)
    hyperopt.fmin(
        _objective(plan, cache, tracking_uri, parent_run_id),
        space(),
        algo=hyperopt.tpe.suggest,
        max_evals=trials,
        trials=spark_trials,
        rstate=np.random.default_rng(seed),
        show_progressbar=True,
    )
    finished = [r["trial"] for r in spark_trials.results if r["status"] == hyperopt.STATUS_OK]
    return sorted((Trial(**trial) for trial in finished), key=lambda trial: trial.validation_loss)


def _objective(plan: Plan, cache: Cache, tracking_uri: str, parent_run_id: str) -> Callable:
    def objective(hyperparameters: dict[str, float]) -> dict[str, Any]:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param, RunTag

        chosen = {name: float(value) for name, value in hyperparameters.items()}
        client = MlflowClient(tracking_uri)
        experiment = client.get_run(parent_run_id).info.experiment_id
        run = client.create_run(
            experiment, tags={"mlflow.parentRunId": parent_run_id}, run_name="trial"
        )
        id_ = run.info.run_id

        def log_epoch(epoch: int, metrics: dict[str, float]) -> None:
            now = int(time.time() * 1000)
            client.log_batch(id_, [Metric(k, v, now, epoch) for k, v in metrics.items()])

        client.log_batch(
            id_,
            params=[Param(name, str(value)) for name, value in chosen.items()],
            tags=[RunTag("step", "trial")],
        )
        try:
            fitted = fit(replace(plan, **chosen), cache, Alone(), log_epoch)
        except BaseException:
            client.set_terminated(id_, "FAILED")
            raise
        client.set_terminated(id_, "FINISHED")
        best = fitted.epochs[fitted.best]
        return {
            "loss": best["validation_loss"],
            "status": "ok",
            "trial": {
                "run_id": id_,
                "hyperparameters": chosen,
                "validation_loss": best["validation_loss"],
                "validation_accuracy": best["validation_accuracy"],
            },
        }

    return objective
