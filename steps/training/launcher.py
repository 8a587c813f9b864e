"""The launcher: starts the ranks in Horovod's processes, in Spark's executors, or in this one."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

import mlflow
from mlflow.entities import Metric

from steps.dataset.cache import Cache
from steps.dataset.cache_filling import OpenSpark
from steps.environment import ranks_inherit
from steps.errors import RunAgain, UserError
from steps.lake.executors import executor_python_path
from steps.pipeline.signals import STOPS, handlers_kept, raise_again
from steps.pipeline.tracking_store import open_client
from steps.training.fit_result import Checkpoint, FitResult
from steps.training.last_fit import fit_fully
from steps.training.networks import FROZEN
from steps.training.plan import Plan
from steps.training.rank_errors import (
    RankEndedError,
    describe_ended_rank,
    error_as_value,
    result_of,
)
from steps.training.ranks import Horovod, SingleProcess, horovod_obstacle, print_line
from steps.training.silent_hosts import silent_hosts_given_up

logger = logging.getLogger(__name__)

SMALL = 350
"""Megapixels that the compact network reads in a whole training, below which one process ends
sooner than two ranks: they take ten seconds more to start, and half the time after that."""


def launch(
    launcher: str,
    processes: int,
    plan: Plan,
    cache: Cache,
    spark: OpenSpark,
    run_id: str,
    save: Callable[[Checkpoint], None] | None = None,
    resume_from: Checkpoint | None = None,
) -> FitResult:
    """Train on all ranks and return the result of rank 0.

    Args:
        launcher: ``horovod`` (processes on this machine), ``horovod-spark`` (executors of the
            profile's Spark) or ``single`` (this process).
        processes: number of ranks under Horovod.
        plan: how to train.
        cache: the prepared images; every rank has to reach them.
        spark: opens a Spark session as a context manager.
        run_id: the MLflow run that rank 0 logs each epoch to.
        save: is called by rank 0 with a checkpoint after each epoch.
        resume_from: the checkpoint to resume from.

    Raises:
        RankEndedError: a signal, a lost machine or a wrong address ended a rank, or a rank lost
            the others or the tracking server.
        RankError: another error ended a rank, whose trace it has.
        DivergedError: the loss is not finite.
    """
    # passed to the ranks, since Spark's workers have the environment that Spark was started with
    log_epoch = partial(_log_epoch, mlflow.get_tracking_uri(), run_id, plan.epochs, cache)
    train = partial(
        fit_fully, plan, cache, after_epoch=log_epoch, save=save, resume_from=resume_from
    )
    if launcher == "single":
        return train(SingleProcess(operations=0))
    try:
        with end_ranks_on_signal():
            results = _run_ranks(launcher, processes, (plan, train), spark)
    except RuntimeError as error:
        if ended := describe_ended_rank(str(error)):
            raise RankEndedError(ended, RunAgain()) from error
        raise
    return result_of(results)


def _run_ranks(
    launcher: str, processes: int, arguments: tuple[object, ...], spark: OpenSpark
) -> list[FitResult | Exception | None]:
    if launcher == "horovod-spark":
        import horovod.spark

        with spark(), _cancelled_job_hidden(), silent_hosts_given_up():
            return list(
                horovod.spark.run(
                    _train_rank,
                    arguments,
                    num_proc=processes,
                    env={"PYTHONPATH": executor_python_path()},
                    executable=os.environ.get("PYSPARK_PYTHON"),
                    verbose=0,
                )
            )
    import horovod

    with ranks_inherit():
        return list(horovod.run(_train_rank, arguments, num_proc=processes, use_gloo=True))


@contextmanager
def _cancelled_job_hidden() -> Iterator[None]:
    """Hide the trace of the job that Horovod cancels because a rank ended."""
    show = threading.excepthook

    def show_others(trace: threading.ExceptHookArgs) -> None:
        if "SPARK_JOB_CANCELLED" not in str(trace.exc_value):
            show(trace)

    threading.excepthook = show_others
    try:
        yield
    finally:
        threading.excepthook = show


@contextmanager
def end_ranks_on_signal() -> Iterator[None]:
    """Let a signal end the ranks of a Horovod run first, then handle it as before the run.

    Horovod (0.28.1) replaces the signal handlers and never restores them. Its own end the ranks,
    which it then reports as failed; and the process would ignore signals after the training.
    """
    from horovod.runner import gloo_run

    register, stops = gloo_run.register_shutdown_event, list[int]()

    def register_and_note() -> threading.Event:
        event: threading.Event = register()

        def stop(number: int, frame: FrameType | None) -> None:
            stops.append(number)
            event.set()

        for number in STOPS:
            signal.signal(number, stop)
        return event

    gloo_run.register_shutdown_event = register_and_note
    try:
        with handlers_kept():
            yield
    except RuntimeError:
        if not stops:
            raise
    finally:
        gloo_run.register_shutdown_event = register
    raise_again(stops)


def why_one_process(plan: Plan, input_size: tuple[int, int], images: int) -> str | None:
    """Return why a training ends sooner in one process than on ranks; None if it does not.

    Args:
        plan: how to train.
        input_size: (height, width) of the images, pixels.
        images: how many have a label.
    """
    if plan.network in FROZEN:
        return f"the head of {plan.network} trains in less time than ranks start"
    height, width = input_size
    read = plan.epochs * max(images, plan.epoch_steps * plan.batch_size) * height * width
    if plan.network == Plan.network and read < SMALL * 10**6:
        return f"{images} images train in less time than ranks save after their start"
    return None


def resolve_launcher(wanted: str, one_process: str | None = None) -> tuple[str, str]:
    """Return the launcher that ``auto`` stands for here, or the wanted one if it can be used.

    Args:
        wanted: its name in the profile.
        one_process: why ``auto`` trains in one process even where ranks can run.

    Returns:
        The launcher, and why ``auto`` is one process; empty if it is not.

    Raises:
        UserError: it needs Horovod, which does not run here.
    """
    obstacle = horovod_obstacle() if wanted != "single" else None
    if wanted == "auto":
        if reason := obstacle or one_process:
            logger.info("training in one process: %s", reason)
        return ("single", reason) if reason else ("horovod", "")
    if obstacle:
        raise UserError(f"launcher {wanted}: {obstacle}")
    return wanted, ""


def _train_rank(plan: Plan, train: Callable[..., FitResult]) -> FitResult | Exception | None:
    """Return the result of rank 0; errors of any rank as values, since Horovod loses exceptions."""
    ranks = Horovod(plan)
    try:
        if ranks.rank == 0:
            return train(ranks)
        train(ranks, after_epoch=lambda epoch, metrics: None, save=None)
    except Exception as error:
        return error_as_value(error, ranks.rank)
    return None


def _log_epoch(
    tracking_uri: str, run_id: str, epochs: int, cache: Cache, epoch: int, metrics: dict[str, float]
) -> None:
    """Print the metrics of an epoch, and log them to the run."""
    cache.mark_used()
    now = int(time.time() * 1000)
    logged = [Metric(name, value, now, epoch) for name, value in metrics.items()]
    open_client(tracking_uri).log_batch(run_id, logged)
    print_line(
        f"epoch {epoch + 1:2}/{epochs}  loss {metrics['loss']:.4f}  "
        f"validation accuracy {metrics['validation_accuracy']:.4f}  "
        f"{metrics['epoch_seconds']:.1f} s"
    )
