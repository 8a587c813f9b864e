"""The trials of a search: each a short training, on a Spark worker, in an MLflow run of its own."""

import math
import statistics
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag

from steps.dataset.cache import Cache
from steps.pipeline.runs import nested_in, resumed_by
from steps.pipeline.tracking_store import open_client
from steps.training.fit import fit
from steps.training.plan import Plan
from steps.training.ranks import SingleProcess
from steps.tuning.hyperopt_space import cast_value

OUTCOME = "outcome"
"""Tag of a trial that ended: FINISHED, PRUNED (ended early), or FAILED as its status says too."""
FINISHED, PRUNED, FAILED = "finished", "pruned", "failed"
NETWORK = "network"
"""Tag of a trial from its start: that of the search which it belongs to."""

LEAST_FINISHED = 3
"""Trials that have to finish before others are pruned."""


@dataclass(frozen=True)
class Trial:
    """A trial: its MLflow run, its hyperparameters, and its result.

    Attributes:
        hyperparameters: fields of ``Plan``.
        outcome: ``finished``, ``pruned`` or ``failed``.
        losses: validation loss after each epoch.
        validation_accuracy: of the epoch with the lowest loss, 0–1.
        error: why it failed.
    """

    run_id: str
    hyperparameters: dict[str, float | int | str]
    outcome: str
    losses: list[float] = field(default_factory=list)
    validation_accuracy: float = 0.0
    error: str = ""

    @property
    def network(self) -> str:
        """The network that was trained."""
        return str(self.hyperparameters["network"])

    @property
    def validation_loss(self) -> float:
        """The lowest of all epochs; infinite if the trial failed."""
        return math.inf if self.outcome == FAILED else min(self.losses)

    def result(self) -> dict[str, Any]:
        """Return the trial as Hyperopt takes the result of a function."""
        status = "fail" if self.outcome == FAILED else "ok"
        return {"status": status, "loss": self.validation_loss, "trial": asdict(self)}


class TrialPrunedError(Exception):
    """Ends a trial that is worse than half of the others."""


def make_objective(
    plan: Plan, cache: Cache, tracking_uri: str, parent_run_id: str, trials: list[Trial]
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the function that Hyperopt calls on a worker: it trains, logs, and returns the result.

    Args:
        plan: what the trials share.
        cache: the prepared images, which the worker has to reach.
        tracking_uri: the MLflow store that the worker logs to.
        parent_run_id: the run that the trials are nested in.
        trials: those that ended before; a trial that is worse than most of them is pruned.
    """
    finished = [trial.losses for trial in trials if trial.outcome == FINISHED]

    def run_trial(hyperparameters: dict[str, Any]) -> dict[str, Any]:
        chosen = {name: cast_value(name, value) for name, value in hyperparameters.items()}
        client = open_client(tracking_uri)
        experiment = client.get_run(parent_run_id).info.experiment_id
        tags = {"mlflow.parentRunId": parent_run_id, "step": "trial", NETWORK: plan.network}
        id_ = client.create_run(experiment, tags=tags, run_name="trial").info.run_id
        client.log_batch(id_, params=[Param(name, str(value)) for name, value in chosen.items()])
        losses: list[float] = []
        accuracies: list[float] = []

        def after_epoch(epoch: int, metrics: dict[str, float]) -> None:
            now = int(time.time() * 1000)
            client.log_batch(id_, [Metric(k, v, now, epoch) for k, v in metrics.items()])
            cache.mark_used()
            losses.append(metrics["validation_loss"])
            accuracies.append(metrics["validation_accuracy"])
            if epoch + 1 < plan.epochs and should_prune(losses, finished, plan.epochs):
                raise TrialPrunedError

        outcome, error = FINISHED, ""
        try:
            fit(replace(plan, **chosen), cache, SingleProcess(), after_epoch)
        except TrialPrunedError:
            outcome = PRUNED
        except Exception as failure:  # a search records the points at which training fails
            outcome, error = FAILED, f"{type(failure).__name__}: {failure}"
            client.log_text(id_, traceback.format_exc(), "failure.txt")
            client.set_tag(id_, "failure", error[:500])
        accuracy = accuracies[losses.index(min(losses))] if losses else 0.0
        best = Metric("best_validation_accuracy", accuracy, int(time.time() * 1000), 0)
        client.log_batch(id_, [best], tags=[RunTag(OUTCOME, outcome)])
        client.set_terminated(id_, "FAILED" if outcome == FAILED else "FINISHED")
        return Trial(id_, chosen, outcome, losses, accuracy, error).result()

    return run_trial


def should_prune(losses: list[float], finished: list[list[float]], epochs: int) -> bool:
    """Return whether a trial is worse than half of the finished ones were after as many epochs.

    The median stopping rule (Golovin et al. 2017, "Google Vizier"), by the lowest loss so far. It
    applies from a third of the epochs and three finished trials on.

    Args:
        losses: the trial's, by epoch.
        finished: those of finished trials.
        epochs: of a full trial.
    """
    if len(finished) < LEAST_FINISHED or len(losses) < max(3, epochs // 3):
        return False
    lowest = [min(others[: len(losses)]) for others in finished]
    return min(losses) > statistics.median(lowest)


def read_trials(run_id: str) -> list[Trial]:
    """Return the trials that ended in a search and in those that it resumed.

    Trials that were running when a search was interrupted are not among them.
    """
    client = MlflowClient()
    searches = (run_id, *resumed_by(run_id))
    runs = [run for search in searches for run in list_trial_runs(client, search)]
    runs.sort(key=lambda run: run.info.end_time or 0)
    return [_read_trial(client, run) for run in runs if OUTCOME in run.data.tags]


def list_trial_runs(client: MlflowClient, run_id: str) -> list[Run]:
    """Return the runs of a search's trials, the newest first."""
    experiment = client.get_run(run_id).info.experiment_id
    return list(client.search_runs([experiment], nested_in(run_id)))


def end_trial_run(client: MlflowClient, run_id: str, why: str, status: str) -> None:
    """End the run of a trial whose worker could not."""
    client.set_tag(run_id, "failure", why)
    client.set_terminated(run_id, status)


def _read_trial(client: MlflowClient, run: Run) -> Trial:
    history = client.get_metric_history(run.info.run_id, "validation_loss")
    return Trial(
        run.info.run_id,
        {name: cast_value(name, value) for name, value in run.data.params.items()},
        run.data.tags[OUTCOME],
        [metric.value for metric in sorted(history, key=lambda metric: metric.step)],
        run.data.metrics.get("best_validation_accuracy", 0.0),
        run.data.tags.get("failure", ""),
    )
