"""The ranks that train together: Horovod's, or this one process alone."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


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
