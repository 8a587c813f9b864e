"""The ranks that train together: Horovod's, or this one process alone."""

import importlib.util
import os
from typing import TYPE_CHECKING

from steps.training.plan import Plan

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


PAUSE_A_IMAGE = 0.5
"""Milliseconds that Horovod rests between two looks for tensors to exchange, for each image of a
rank's batch. A look takes processor time from the step, and a rest is waited for after it, but for
what the next batch's augmentation takes meanwhile: both grow with the step
(``benchmarks.training``)."""


def horovod_is_built() -> bool:
    """Whether Horovod can be imported here; nothing is imported to find out."""
    return importlib.util.find_spec("horovod") is not None


class SingleProcess:
    """One process without Horovod."""

    rank = 0
    size = 1

    def sum(self, tensors: list["tf.Tensor"]) -> list["tf.Tensor"]:
        """Each tensor, summed over the ranks."""
        return tensors

    def share(self, variables: list["keras.Variable"]) -> None:
        """Give all ranks the values of rank 0."""


class Horovod:
    """One of several processes that Horovod started, to train as planned."""

    def __init__(self, plan: Plan) -> None:
        import horovod.tensorflow as hvd

        # By a comma too many, horovod.run (0.28.1) tells its ranks "(None,)" for the pause between
        # two exchanges and for what is remembered of them, which is read as 0: a thread that never
        # sleeps, and tensors that are agreed upon anew each time.
        for name in ("HOROVOD_CYCLE_TIME", "HOROVOD_CACHE_CAPACITY"):
            if os.environ.get(name) == "(None,)":
                del os.environ[name]
        images = plan.rank_batch(int(os.environ.get("HOROVOD_SIZE", 1)))
        pause = max(1, PAUSE_A_IMAGE * images)
        os.environ.setdefault("HOROVOD_CYCLE_TIME", f"{pause:g}")
        _keep_to_own_cores(plan.threads)
        hvd.init()
        self._hvd = hvd
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()

    def sum(self, tensors: list["tf.Tensor"]) -> list["tf.Tensor"]:
        """Each tensor, summed over the ranks."""
        return self._hvd.grouped_allreduce(tensors, op=self._hvd.Sum)

    def share(self, variables: list["keras.Variable"]) -> None:
        """Give all ranks the values of rank 0."""
        # Horovod knows TensorFlow's variables, which Keras 3 wraps
        self._hvd.broadcast_variables([variable.value for variable in variables], root_rank=0)


def _keep_to_own_cores(threads: int) -> None:
    """Bind this rank, where the ranks of this machine need all of its cores, to its share of them.

    Horovod's threads then take their time from their own rank alone; else they take it now from
    one and now from another, and each time all ranks wait.
    """
    here = int(os.environ.get("HOROVOD_LOCAL_RANK", 0))
    ranks = int(os.environ.get("HOROVOD_LOCAL_SIZE", 1))
    cores = sorted(os.sched_getaffinity(0))
    if ranks > 1 and ranks * threads == len(cores):
        os.sched_setaffinity(0, cores[here * threads : (here + 1) * threads])
