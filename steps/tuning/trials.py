"""The trials of a search: each a short training, on a Spark worker, in an MLflow run of its own."""

import json
import math
import statistics
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from steps.dataset.cache import Cache
from steps.pipeline.runs import nested_in, resumed_by
from steps.settings.search_space import SearchSpace
from steps.training.fit import fit
from steps.training.plan import Plan
from steps.training.ranks import SingleProcess
from steps.tuning.hyperopt_space import point_of, typed

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

POINT = "point"
"""Tag of a trial: its place in the search space, as Hyperopt counts choices."""
OUTCOME = "outcome"
"""Tag of a trial that ended: FINISHED or HOPELESS (left early); FAILED stands in its status."""
FINISHED, HOPELESS, FAILED = "finished", "left early", "failed"

PEERS = 3
"""A trial is compared with others once so many have finished."""


@dataclass(frozen=True)
class Trial:
    """A trial: its MLflow run, where it looked, and what came of it.

    Attributes:
        point: the hyperparameters as Hyperopt counts them; a choice is its place in the list.
        hyperparameters: fields of ``Plan``.
        outcome: ``finished``, ``left early`` (hopeless) or ``failed``.
        losses: validation loss after each epoch.
        validation_accuracy: of the epoch with the lowest loss, 0–1.
        error: why it failed.
    """

    run_id: str
    point: dict[str, float]
    hyperparameters: dict[str, float | int | str]
    outcome: str
    losses: list[float] = field(default_factory=list)
    validation_accuracy: float = 0.0
    error: str = ""

    @property
    def validation_loss(self) -> float:
        """The lowest; infinite where it failed."""
        return math.inf if self.outcome == FAILED else min(self.losses)


class TrialPruned(Exception):
    """Ends a trial that is worse than half of the others."""


def objective(
    plan: Plan,
    cache: Cache,
    space: SearchSpace,
    tracking_uri: str,
    parent_run_id: str,
    trials: list[Trial],
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What Hyperopt has a worker do with hyperparameters: train, log, and say what came of it.

    Args:
        plan: what the trials share.
        cache: the prepared images, which the worker has to reach.
        space: what is searched.
        tracking_uri: the MLflow store that the worker logs to.
        parent_run_id: the run that the trials are nested in.
        trials: those that ended before, with which a hopeless one is compared.
    """
    peers = [trial.losses for trial in trials if trial.outcome == FINISHED]

    def run_trial(hyperparameters: dict[str, Any]) -> dict[str, Any]:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param, RunTag

        chosen = {name: typed(name, value) for name, value in hyperparameters.items()}
        point = point_of(chosen, space)
        client = MlflowClient(tracking_uri)
        experiment = client.get_run(parent_run_id).info.experiment_id
        tags = {"mlflow.parentRunId": parent_run_id, "step": "trial", POINT: json.dumps(point)}
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
            if epoch + 1 < plan.epochs and hopeless(losses, peers, plan.epochs):
                raise TrialPruned

        outcome, error = FINISHED, ""
        try:
            fit(replace(plan, **chosen), cache, SingleProcess(), after_epoch)
        except TrialPruned:
            outcome = HOPELESS
        except Exception as failure:  # a point at which training fails is a finding of the search
            outcome, error = FAILED, f"{type(failure).__name__}: {failure}"
            client.log_text(id_, traceback.format_exc(), "failure.txt")
            client.set_tag(id_, "failure", error[:500])
        accuracy = accuracies[losses.index(min(losses))] if losses else 0.0
        client.log_batch(
            id_,
            [Metric("best_validation_accuracy", accuracy, int(time.time() * 1000), 0)],
            tags=[RunTag(OUTCOME, outcome)],
        )
        client.set_terminated(id_, "FAILED" if outcome == FAILED else "FINISHED")
        trial = Trial(id_, point, chosen, outcome, losses, accuracy, error)
        if outcome == FAILED:
            return {"status": "fail", "trial": asdict(trial)}
        return {"status": "ok", "loss": trial.validation_loss, "trial": asdict(trial)}

    return run_trial


def hopeless(losses: list[float], peers: list[list[float]], epochs: int) -> bool:
    """Whether a trial is worse than half of the others were by then.

    The median stopping rule (Golovin et al. 2017, "Google Vizier"), from a third of the epochs
    and three others on, by the lowest loss so far.

    Args:
        losses: the trial's, an epoch each.
        peers: those of trials that ended.
        epochs: of a whole trial.
    """
    if len(peers) < PEERS or len(losses) < max(3, epochs // 3):
        return False
    by_then = [min(peer[: len(losses)]) for peer in peers]
    return min(losses) > statistics.median(by_then)


def trials_before(run_id: str) -> list[Trial]:
    """The trials that ended in a search which was cut off, and in those that it went on from.

    Those that were running when it was cut off are not among them.
    """
    from mlflow import MlflowClient

    client = MlflowClient()
    runs = [
        run
        for search in (run_id, *resumed_by(run_id))
        for run in nested_trials(client, search)
        if OUTCOME in run.data.tags
    ]
    return [_trial_of(client, run) for run in sorted(runs, key=lambda run: run.info.end_time or 0)]


def nested_trials(client: "MlflowClient", run_id: str) -> list["Run"]:
    """The runs of a search's trials, the newest first."""
    experiment = client.get_run(run_id).info.experiment_id
    return client.search_runs([experiment], nested_in(run_id))


def write_off(client: "MlflowClient", run_id: str, why: str, status: str) -> None:
    """End the run of a trial whose worker did not."""
    client.set_tag(run_id, "failure", why)
    client.set_terminated(run_id, status)


def _trial_of(client: "MlflowClient", run: "Run") -> Trial:
    history = client.get_metric_history(run.info.run_id, "validation_loss")
    return Trial(
        run.info.run_id,
        json.loads(run.data.tags[POINT]),
        {name: typed(name, value) for name, value in run.data.params.items()},
        run.data.tags[OUTCOME],
        [metric.value for metric in sorted(history, key=lambda metric: metric.step)],
        run.data.metrics.get("best_validation_accuracy", 0.0),
        run.data.tags.get("failure", ""),
    )
