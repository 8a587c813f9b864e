"""The search for hyperparameters: Hyperopt's TPE in waves, the trials of a wave run by Spark.

Hyperopt suggests a wave from all trials before it, and the wave ends before the next one starts.
So a seed decides a search, however fast each trial is.
"""

import logging
import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import hyperopt
import mlflow
import numpy as np
from hyperopt import tpe
from hyperopt.base import JOB_STATE_CANCEL
from hyperopt.fmin import generate_trial
from mlflow import MlflowClient
from pyspark.sql import SparkSession

from steps.dataset.cache import Cache
from steps.settings.search_space import SearchSpace
from steps.training.plan import Plan
from steps.tuning.hyperopt_space import cast_value, to_hyperopt, to_point
from steps.tuning.trials import (
    FAILED,
    NETWORK,
    OUTCOME,
    Trial,
    end_trial_run,
    list_trial_runs,
    make_objective,
)

logger = logging.getLogger(__name__)

STARTUP = 5
"""Trials that are drawn at random, before TPE has enough of them."""

POLL_SECONDS = 0.1
# Hyperopt (0.2) waits a second before each of the three looks at a wave that it takes at least
for _module in ("hyperopt.spark", "hyperopt.fmin"):
    vars(sys.modules[_module])["time"] = SimpleNamespace(sleep=lambda _: time.sleep(POLL_SECONDS))


@dataclass(frozen=True)
class Limits:
    """When a search of hyperparameters ends.

    Attributes:
        trials: how many, failed ones among them.
        parallelism: trials at the same time: the size of a wave.
        seconds: time limit; trials that run when it is over count as failed. None: no limit.
        patience: trials without a lower loss that end the search; 0 never does.
    """

    trials: int
    parallelism: int
    seconds: float | None
    patience: int


def search(
    spark: SparkSession,
    plan: Plan,
    cache: Cache,
    space: SearchSpace,
    limits: Limits,
    parent_run_id: str,
    before: Sequence[Trial] = (),
) -> list[Trial]:
    """Run the trials, each a nested MLflow run.

    The first trial is the plan itself, so that the best one is no worse on the validation split
    than the default. A trial that fails, diverges or whose process dies is recorded as failed,
    and the search continues.

    Args:
        spark: runs one trial a task.
        plan: what the trials share, and the first of them; its seed is that of the suggestions.
        cache: the prepared images; every worker has to reach them.
        space: what is searched.
        limits: when to end.
        parent_run_id: the run that the trials are nested in.
        before: trials of the interrupted search that this one resumes; they count as its own.

    Returns:
        All trials, wave by wave.
    """
    deadline = None if limits.seconds is None else time.monotonic() + limits.seconds
    trials, session = list(before), _reusing_workers(spark)
    while len(trials) < limits.trials and not should_stop_early(trials, limits.patience):
        left = None if deadline is None else int(deadline - time.monotonic())
        if left is not None and left < 1:
            logger.info("the time limit of the search is reached")
            break
        wave = min(_wave_size(limits, len(trials)), limits.trials - len(trials))
        last = len(trials) + wave
        numbers = f"{last}" if wave == 1 else f"{len(trials) + 1}–{last}"
        logger.info("%s: trial %s of %d …", plan.network, numbers, limits.trials)
        at_once = min(wave, limits.parallelism)
        spark_trials = hyperopt.SparkTrials(at_once, timeout=left, spark_session=session)
        _insert_trials(spark_trials, trials, space)
        hyperopt.fmin(
            make_objective(plan, cache, mlflow.get_tracking_uri(), parent_run_id, trials),
            to_hyperopt(space),
            algo=partial(_suggest, to_point(asdict(plan), space)),
            max_evals=len(trials) + wave,
            max_queue_len=wave,
            trials=spark_trials,
            rstate=np.random.default_rng([plan.seed, len(trials)]),
            show_progressbar=False,
            return_argmin=False,
        )
        trials += _collect_trials(spark_trials, len(trials), space, parent_run_id, plan.network)
        best = min((trial.validation_loss for trial in trials), default=math.inf)
        logger.info(
            "%s: %d of %d trials, lowest loss %.4f", plan.network, len(trials), limits.trials, best
        )
    return trials


def _wave_size(limits: Limits, done: int) -> int:
    """Return the trials of the next wave: all that are drawn at random, so that no core waits.

    Limits that end a search between two waves need short ones.
    """
    may_end = limits.seconds is not None or limits.patience
    return limits.parallelism if may_end else max(limits.parallelism, STARTUP - done)


class _Instead:
    """An object, but for the attributes that are given."""

    def __init__(self, original: Any, **given: Any):
        self._original = original
        vars(self).update(given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


def _reusing_workers(spark: SparkSession) -> Any:
    """Return the session for Hyperopt (0.2), whose trials then leave their worker to others.

    Hyperopt does not read the input of a trial's task, and Spark ends a worker that has not.
    """

    def parallelize(*arguments: Any) -> Any:
        rdd = spark.sparkContext.parallelize(*arguments)
        return _Instead(rdd, mapPartitions=lambda run: rdd.mapPartitions(partial(_read_all, run)))

    return _Instead(spark, sparkContext=_Instead(spark.sparkContext, parallelize=parallelize))


def _read_all(run: Callable[[Any], Any], rows: Iterable[Any]) -> Any:
    return run(list(rows))


def should_stop_early(trials: list[Trial], patience: int) -> bool:
    """Return whether a search stops: its last trials found no lower loss than earlier ones."""
    losses = [trial.validation_loss for trial in trials]
    if not patience or len(losses) <= patience:
        return False
    return min(losses[:-patience]) <= min(losses[-patience:])


def _suggest(
    first: dict[str, float], new_ids: list[int], domain: Any, trials: Any, seed: int
) -> list[dict[str, Any]]:
    """Return the default first, then TPE's suggestions, one at a time."""
    if not trials.trials:
        return [generate_trial(new_ids[0], first)]
    suggested: list[dict[str, Any]] = tpe.suggest(
        new_ids[:1], domain, trials, seed, n_startup_jobs=STARTUP, verbose=False
    )
    return suggested


def _insert_trials(spark_trials: Any, trials: list[Trial], space: SearchSpace) -> None:
    """Give Hyperopt the trials that ended before."""
    docs = []
    for id_, trial in zip(spark_trials.new_trial_ids(len(trials)), trials, strict=True):
        done = {"state": hyperopt.JOB_STATE_DONE, "result": trial.result()}
        docs.append(generate_trial(id_, to_point(trial.hyperparameters, space)) | done)
    spark_trials.insert_trial_docs(docs)
    spark_trials.refresh()


def _collect_trials(
    spark_trials: Any, before: int, space: SearchSpace, parent_run_id: str, network: str
) -> list[Trial]:
    """Return the trials of a wave; end the runs of those whose process died or was stopped."""
    client = MlflowClient()
    runs = list_trial_runs(client, parent_run_id)
    # the search of another network may run at the same time
    running = [
        run
        for run in runs
        if run.info.status == "RUNNING" and run.data.tags.get(NETWORK) == network
    ]
    ended = []
    for doc in spark_trials._dynamic_trials[before:]:
        if doc["state"] == hyperopt.JOB_STATE_DONE:
            ended.append(Trial(**doc["result"]["trial"]))
            continue
        point = {name: value[0] for name, value in doc["misc"]["vals"].items()}
        found = hyperopt.space_eval(to_hyperopt(space), point)
        chosen = {name: cast_value(name, value) for name, value in found.items()}
        cancelled = doc["state"] == JOB_STATE_CANCEL
        error = "stopped by the time limit" if cancelled else "its process died"
        parameters = {name: str(value) for name, value in chosen.items()}
        # the newest; one that died early has none of them yet
        matching = (run for run in running if run.data.params.items() <= parameters.items())
        run_id = next((run.info.run_id for run in matching), "")
        if run_id:
            client.set_tag(run_id, OUTCOME, FAILED)
            end_trial_run(client, run_id, error, "KILLED" if cancelled else "FAILED")
        ended.append(Trial(run_id, chosen, FAILED, error=error))
    run_ids = {trial.run_id for trial in ended}
    for run in running:
        if run.info.run_id not in run_ids:
            why = "its worker was lost: Spark ran it again"
            end_trial_run(client, run.info.run_id, why, "FAILED")
    return ended
