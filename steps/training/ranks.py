"""The ranks that train together: Horovod's processes, or this one alone."""

import importlib.util
import ipaddress
import os
import socket
import sys
from typing import TYPE_CHECKING

from steps.training.plan import Plan

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


PAUSE_PER_IMAGE = 0.5
"""Milliseconds between two of Horovod's polls for tensors to exchange, per image of a rank's batch.
A poll takes processor time from the step. A longer pause delays the exchange, except for the time
that the next batch's augmentation fills: both grow with the step (``benchmarks.training``)."""


def horovod_obstacle() -> str | None:
    """Return why Horovod does not run here, with the fix; None if it does. Imports nothing."""
    if importlib.util.find_spec("horovod") is None:
        return "Horovod is not built here; run: make horovod"
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError:  # Gloo (0.5) crashes
        return (
            f"Horovod needs to resolve this machine's name, {name}; "
            f"as root, run: echo '127.0.1.1 {name}' >> /etc/hosts"
        )
    return None


def print_line(text: str) -> None:
    """Print a line from any rank: logging is set up in the step's own process alone."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _is_reached_by_name() -> bool:
    """Return whether other machines reach this one where its own name leads, as seen from here."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None)
    except OSError:
        return False
    return not any(ipaddress.ip_address(address[0]).is_loopback for *_, address in found)


class SingleProcess:
    """One process without Horovod.

    Args:
        operations: of TensorFlow at the same time; 0, one for each core, augments the next batch
            beside the step. The weights are the same.
    """

    rank = 0
    size = 1

    def __init__(self, operations: int = 1) -> None:
        self.operations = operations

    def sum(self, tensors: list["tf.Tensor"]) -> list["tf.Tensor"]:
        """Return each tensor, summed over the ranks."""
        return tensors

    def share(self, variables: list["keras.Variable"]) -> None:
        """Give all ranks the values of rank 0."""


class Horovod:
    """One of several processes that Horovod started, to train by a plan."""

    def __init__(self, plan: Plan) -> None:
        import horovod.tensorflow as hvd

        images = plan.rank_batch(int(os.environ.get("HOROVOD_SIZE", "1")))
        pause = max(1, PAUSE_PER_IMAGE * images)
        os.environ.setdefault("HOROVOD_CYCLE_TIME", f"{pause:g}")
        _bind_to_own_cores(plan.threads)
        _leave_if_others_cannot_connect()
        hvd.init()
        self._hvd = hvd
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()
        # one may wait for the other ranks' gradients while another augments
        self.operations = min(self.size, 2)

    def sum(self, tensors: list["tf.Tensor"]) -> list["tf.Tensor"]:
        """Return each tensor, summed over the ranks."""
        return list(self._hvd.grouped_allreduce(tensors, op=self._hvd.Sum))

    def share(self, variables: list["keras.Variable"]) -> None:
        """Give all ranks the values of rank 0."""
        # Horovod takes TensorFlow's variables, which Keras 3 wraps
        self._hvd.broadcast_variables([variable.value for variable in variables], root_rank=0)


def _leave_if_others_cannot_connect() -> None:
    """End this rank, and so all, if other machines' ranks would look for it on their own machines.

    Whatever interface is named, Gloo (0.5) announces the address of the machine's name for some
    of the connections. Without this, ranks wait for half a minute and crash.
    """
    is_alone = os.environ.get("HOROVOD_LOCAL_SIZE") == os.environ.get("HOROVOD_SIZE")
    if not is_alone and not _is_reached_by_name():
        sys.exit(os.EX_NOHOST)


def _bind_to_own_cores(threads: int) -> None:
    """Bind this rank to its share of the cores if the ranks of this machine need all of them.

    Horovod's threads then take their time from their own rank alone. Otherwise they take it from
    one rank after the other, and all ranks wait each time.
    """
    here = int(os.environ.get("HOROVOD_LOCAL_RANK", "0"))
    ranks = int(os.environ.get("HOROVOD_LOCAL_SIZE", "1"))
    cores = sorted(os.sched_getaffinity(0))
    if ranks > 1 and ranks * threads == len(cores):
        os.sched_setaffinity(0, cores[here * threads : (here + 1) * threads])
