"""The ranks that train together: Horovod's, or this one process alone."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


PAUSE_MS = 3
"""Between two looks of Horovod for tensors to exchange: a step takes tens of these, and each look
takes processor time from it. ``HOROVOD_CYCLE_TIME`` says another."""


class Alone:
    """One process without Horovod."""

    rank = 0
    size = 1

    def sum(self, tensors: list["tf.Tensor"]) -> list["tf.Tensor"]:
        """Each tensor, summed over the ranks."""
        return tensors

    def share(self, variables: list["keras.Variable"]) -> None:
        """Give all ranks the values of rank 0."""


class Horovod:
    """One of several processes that Horovod started."""

    def __init__(self) -> None:
        import horovod.tensorflow as hvd

        # By a comma too many, horovod.run (0.28.1) tells its ranks "(None,)" for the pause between
        # two exchanges and for what is remembered of them, which is read as 0: a thread that never
        # sleeps, and tensors that are agreed upon anew each time.
        for name in ("HOROVOD_CYCLE_TIME", "HOROVOD_CACHE_CAPACITY"):
            if os.environ.get(name) == "(None,)":
                del os.environ[name]
        os.environ.setdefault("HOROVOD_CYCLE_TIME", str(PAUSE_MS))
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
