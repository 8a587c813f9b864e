"""Where the ranks run: Horovod's processes here, Spark's executors, or this process."""

import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable

import mlflow

from steps.dataset.cache import Cache
from steps.errors import UserError
from steps.lake.executors import executor_python_path
from steps.training.checkpoints import Checkpoints
from steps.training.fit import fit
from steps.training.fit_result import Checkpoint, FitResult
from steps.training.interruption import handed_on
from steps.training.plan import Plan
from steps.training.ranks import Horovod, SingleProcess, horovod_is_built

logger = logging.getLogger(__name__)


class RankKilled(UserError):
    """A signal ended a rank, and with it the training."""


def launch(
    launcher: str,
    processes: int,
    plan: Plan,
    cache: Cache,
    spark: Callable,
    run_id: str,
    checkpoints: Checkpoints | None = None,
    start: Checkpoint | None = None,
) -> FitResult:
    """Train on all ranks and return what rank 0 has.

    Args:
        launcher: ``horovod`` (processes on this machine), ``horovod-spark`` (executors of the
            profile's Spark) or ``single`` (this process).
        processes: number of ranks under Horovod.
        plan: how to train.
        cache: the prepared images; every rank has to reach them.
        spark: opens a Spark session as a context manager.
        run_id: the MLflow run that rank 0 logs each epoch to.
        checkpoints: where rank 0 keeps each epoch; None: nowhere.
        start: the checkpoint to go on from.

    Raises:
        RankKilled: a signal ended a rank.
        Diverged: the loss is no number any more.
    """
    # the ranks import TensorFlow with their first module, before any setting of theirs
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    keep = checkpoints.keep if checkpoints else None
    # said to the ranks, since Spark's workers have the environment of when Spark was started
    report = _Report(mlflow.get_tracking_uri(), run_id, plan.epochs, cache)
    if launcher == "single":
        return fit(plan, cache, SingleProcess(), report, keep, start)
    arguments = (plan, cache, report, keep, start)
    try:
        if launcher == "horovod-spark":
            import horovod.spark

            with spark(), handed_on():
                results = horovod.spark.run(
                    _rank,
                    arguments,
                    num_proc=processes,
                    env={"PYTHONPATH": executor_python_path()},
                    executable=os.environ.get("PYSPARK_PYTHON"),
                    verbose=0,
                )
        else:
            import horovod

            with handed_on():
                results = horovod.run(_rank, arguments, num_proc=processes, use_gloo=True)
    except RuntimeError as error:
        if killed := who_was_killed(str(error)):
            raise RankKilled(f"{killed}, which ended the other ranks too") from error
        raise
    result = next(result for result in results if result is not None)
    if isinstance(result, UserError):
        raise result
    return result


def who_was_killed(message: str) -> str | None:
    """Which rank a signal ended, by what Horovod says; None where it ended by itself.

    >>> who_was_killed("Process name: 1\\nExit code: 137\\n")
    'rank 1 was killed by SIGKILL (by hand, or because memory ran out)'
    """
    ended = re.search(r"Process name: (\S+)\s+Exit code: (-?\d+)", message)
    if not ended:
        return None
    code = int(ended[2])
    number = -code if code < 0 else code - 128
    if number not in set(signal.Signals):
        return None
    name = signal.Signals(number).name
    why = " (by hand, or because memory ran out)" if name == "SIGKILL" else ""
    return f"rank {ended[1]} was killed by {name}{why}"


def resolve_launcher(wanted: str) -> str:
    """The launcher that ``auto`` stands for here; a wanted one that is missing is an error.

    Raises:
        UserError: Horovod was asked for and is not built.
    """
    built = horovod_is_built()
    if wanted == "auto":
        if not built:
            logger.info("Horovod is not built here (make horovod): training in one process")
        return "horovod" if built else "single"
    if wanted != "single" and not built:
        raise UserError(f"launcher {wanted} needs Horovod, which is not built; run: make horovod")
    return wanted


def _rank(
    plan: Plan,
    cache: Cache,
    report: "_Report",
    keep: Callable[[Checkpoint], None] | None,
    start: Checkpoint | None,
) -> FitResult | UserError | None:
    """What rank 0 has; a user's error as a value, since Horovod hands on no exceptions."""
    ranks = Horovod(plan)
    first = ranks.rank == 0
    try:
        fitted = fit(
            plan, cache, ranks, report if first else _silent, keep if first else None, start
        )
    except UserError as error:
        return error if first else None
    return fitted if first else None


def _silent(epoch: int, metrics: dict[str, float]) -> None:
    """Only rank 0 reports."""


class _Report:
    """Says how each epoch went, and logs it to the run."""

    def __init__(self, tracking_uri: str, run_id: str, epochs: int, cache: Cache):
        self._tracking_uri = tracking_uri
        self._run_id = run_id
        self._epochs = epochs
        self._cache = cache

    def __call__(self, epoch: int, metrics: dict[str, float]) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric

        self._cache.mark_used()
        now = int(time.time() * 1000)
        MlflowClient(self._tracking_uri).log_batch(
            self._run_id, [Metric(name, value, now, epoch) for name, value in metrics.items()]
        )
        print(
            f"epoch {epoch + 1:2}/{self._epochs}  loss {metrics['loss']:.4f}  "
            f"validation accuracy {metrics['validation_accuracy']:.4f}  "
            f"{metrics['epoch_seconds']:.1f} s",
            file=sys.stderr,
            flush=True,
        )
