"""The search for hyperparameters: Hyperopt's TPE in waves, the trials of a wave run by Spark.

A wave is suggested from all trials before it and runs whole before the next, so that a seed
decides a search, however fast each trial is.
"""

import json
import logging
import math
import statistics
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from steps.settings.search_space import Choice, Range, SearchSpace
from steps.training.cache import Cache
from steps.training.fit import Plan, fit
from steps.training.ranks import Alone

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)

POINT = "point"
"""Tag of a trial: its place in the search space, as Hyperopt counts choices."""
OUTCOME = "outcome"
"""Tag of a trial that ended: FINISHED or HOPELESS (left early); FAILED stands in its status."""
FINISHED, HOPELESS, FAILED = "finished", "left early", "failed"

STARTUP = 5
"""Trials before TPE has enough to go by; until then they are drawn at random."""
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


@dataclass(frozen=True)
class Limits:
    """When a search ends.

    Attributes:
        trials: how many, failed ones among them.
        parallelism: trials at the same time: the size of a wave.
        seconds: time limit; trials that run when it is over are failed. None: no limit.
        patience: ends after so many trials without a lower loss; 0 never does.
    """

    trials: int
    parallelism: int
    seconds: float | None = None
    patience: int = 0


def search(
    spark: "SparkSession",
    plan: Plan,
    cache: Cache,
    space: SearchSpace,
    limits: Limits,
    seed: int,
    tracking_uri: str,
    parent_run_id: str,
    before: Sequence[Trial] = (),
) -> list[Trial]:
    """Run the trials, each a nested MLflow run.

    The first trial is the plan as it is, so that what is found is no worse by the validation
    part than the default. A trial that fails, diverges or whose process dies is recorded as
    failed, and the search goes on.

    Args:
        spark: runs one trial a task.
        plan: what the trials share, and the first of them.
        cache: the prepared pictures; every worker has to reach them.
        space: what is searched.
        limits: when to end.
        seed: of the suggestions; the plan's is that of the trainings.
        tracking_uri: the MLflow store that the workers log to.
        parent_run_id: the run that the trials are nested in.
        before: trials of a search that was cut off, which count as this one's.

    Returns:
        All trials, wave by wave.
    """
    import hyperopt
    import numpy as np

    warnings.filterwarnings("ignore", message="Spark session is not provided")  # of one it was
    deadline = None if limits.seconds is None else time.monotonic() + limits.seconds
    trials = list(before)
    while len(trials) < limits.trials and not given_up(trials, limits.patience):
        left = None if deadline is None else int(deadline - time.monotonic())
        if left is not None and left < 1:
            logger.info("the time limit of the search is reached")
            break
        wave = min(limits.parallelism, limits.trials - len(trials))
        spark_trials = hyperopt.SparkTrials(parallelism=wave, timeout=left, spark_session=spark)
        remember(spark_trials, trials)
        hyperopt.fmin(
            _objective(plan, cache, space, tracking_uri, parent_run_id, trials),
            hyperopt_space(space),
            algo=partial(_suggest, point_of(asdict(plan), space)),
            max_evals=len(trials) + wave,
            max_queue_len=wave,
            trials=spark_trials,
            rstate=np.random.default_rng([seed, len(trials)]),
            show_progressbar=False,
            return_argmin=False,
        )
        trials += _ended(spark_trials, len(trials), space, tracking_uri, parent_run_id)
        best = min((trial.validation_loss for trial in trials), default=math.inf)
        logger.info("%d of %d trials, lowest loss %.4f", len(trials), limits.trials, best)
    return trials


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


def given_up(trials: list[Trial], patience: int) -> bool:
    """Whether the last so many trials found nothing better than those before them."""
    losses = [trial.validation_loss for trial in trials]
    if not patience or len(losses) <= patience:
        return False
    return min(losses[:-patience]) <= min(losses[-patience:])


def trials_before(run_id: str) -> list[Trial]:
    """The trials that ended in a search which was cut off; those that were running are not."""
    from mlflow import MlflowClient

    client = MlflowClient()
    runs = [run for run in _nested(client, run_id) if OUTCOME in run.data.tags]
    return [_trial_of(client, run) for run in sorted(runs, key=lambda run: run.info.end_time or 0)]


def hyperopt_space(space: SearchSpace) -> dict[str, Any]:
    """The search space as Hyperopt takes it; steps are counted from ``low``."""
    from hyperopt import hp

    def dimension(name: str, of: Range | Choice):
        if isinstance(of, Choice):
            return hp.choice(name, [typed(name, value) for value in of.choices])
        if of.scale == "log":
            return hp.loguniform(name, math.log(of.low), math.log(of.high))
        if of.step:
            return of.low + of.step * hp.quniform(name, -0.5, _steps(of) + 0.5, 1)
        return hp.uniform(name, of.low, of.high)

    return {name: dimension(name, of) for name, of in space.searched().items()}


def point_of(values: dict[str, Any], space: SearchSpace) -> dict[str, float]:
    """Where hyperparameters are in the space, as Hyperopt counts; those outside at its border."""

    def place(name: str, of: Range | Choice) -> float:
        value = typed(name, values[name])
        if isinstance(of, Choice):
            choices = [typed(name, choice) for choice in of.choices]
            return choices.index(value) if value in choices else 0
        within = min(max(value, of.low), of.high)
        return float(round((within - of.low) / of.step)) if of.step else within

    return {name: place(name, of) for name, of in space.searched().items()}


def typed(name: str, value: Any) -> Any:
    """A hyperparameter as the field of ``Plan`` has it: a float, an int or a string."""
    return {"network": str, "batch_size": int}.get(name, float)(value)


def _steps(of: Range) -> int:
    return int((of.high - of.low) / (of.step or 1) + 1e-9)


def _suggest(first: dict[str, float], new_ids, domain, trials, seed) -> list[dict]:
    """The default first, then what TPE says, one at a time."""
    from hyperopt import tpe
    from hyperopt.fmin import generate_trial

    if not trials.trials:
        return [generate_trial(new_ids[0], first)]
    return tpe.suggest(new_ids[:1], domain, trials, seed, n_startup_jobs=STARTUP, verbose=False)


def remember(spark_trials, trials: list[Trial]) -> None:
    """Tell Hyperopt of trials that ended before."""
    import hyperopt
    from hyperopt.fmin import generate_trial

    docs = []
    for id_, trial in zip(spark_trials.new_trial_ids(len(trials)), trials, strict=True):
        failed = trial.outcome == FAILED
        result = {"status": "fail"} if failed else {"status": "ok", "loss": trial.validation_loss}
        done = {"state": hyperopt.JOB_STATE_DONE, "result": result}
        docs.append(generate_trial(id_, trial.point) | done)
    spark_trials.insert_trial_docs(docs)
    spark_trials.refresh()


def _ended(
    spark_trials, before: int, space: SearchSpace, tracking_uri: str, parent_run_id: str
) -> list[Trial]:
    """The trials of a wave; the runs of those whose process died or was stopped are ended here."""
    import hyperopt
    from hyperopt.base import JOB_STATE_CANCEL
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri)
    running = [run for run in _nested(client, parent_run_id) if run.info.status == "RUNNING"]
    ended = []
    for doc in spark_trials._dynamic_trials[before:]:
        if doc["state"] == hyperopt.JOB_STATE_DONE:
            ended.append(Trial(**doc["result"]["trial"]))
            continue
        point = {name: value[0] for name, value in doc["misc"]["vals"].items()}
        found = hyperopt.space_eval(hyperopt_space(space), point)
        chosen = {name: typed(name, value) for name, value in found.items()}
        cancelled = doc["state"] == JOB_STATE_CANCEL
        error = "stopped by the time limit" if cancelled else "its process died"
        here = json.dumps(point_of(chosen, space))
        mine = [run.info.run_id for run in running if run.data.tags.get(POINT) == here]
        run_id = mine[0] if mine else ""  # the newest
        if run_id:
            client.set_tag(run_id, OUTCOME, FAILED)
            _write_off(client, run_id, error, "KILLED" if cancelled else "FAILED")
        ended.append(Trial(run_id, point, chosen, FAILED, error=error))
    known = {trial.run_id for trial in ended}
    for run in running:
        if run.info.run_id not in known:
            _write_off(client, run.info.run_id, "its worker was lost: Spark ran it again", "FAILED")
    return ended


def _write_off(client: "MlflowClient", run_id: str, why: str, status: str) -> None:
    client.set_tag(run_id, "failure", why)
    client.set_terminated(run_id, status)


def _nested(client: "MlflowClient", run_id: str) -> list["Run"]:
    experiment = client.get_run(run_id).info.experiment_id
    return client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'")


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


class Hopeless(Exception):
    """Ends a trial that is worse than half of the others."""


def _objective(
    plan: Plan,
    cache: Cache,
    space: SearchSpace,
    tracking_uri: str,
    parent_run_id: str,
    trials: list[Trial],
) -> Callable:
    peers = [trial.losses for trial in trials if trial.outcome == FINISHED]

    def objective(hyperparameters: dict[str, Any]) -> dict[str, Any]:
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
            losses.append(metrics["validation_loss"])
            accuracies.append(metrics["validation_accuracy"])
            if epoch + 1 < plan.epochs and hopeless(losses, peers, plan.epochs):
                raise Hopeless

        outcome, error = FINISHED, ""
        try:
            fit(replace(plan, **chosen), cache, Alone(), after_epoch)
        except Hopeless:
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

    return objective
