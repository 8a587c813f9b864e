"""Spark's daemon of Python workers, with what all of them need imported before it forks them.

Otherwise each worker imports it for itself, which takes two seconds of a core, and four more for
TensorFlow. What is imported must not have computed yet: threads are not forked.

The modules that a step names are imported after the first fork. Spark hands out no worker at all
while a daemon starts, so the first one, which has nothing to do, is there at once.
"""

import gc
import importlib
import os

import pandas  # noqa: F401  Arrow asks for it
import pyarrow
import pyarrow.parquet
from pyspark import daemon

import steps.lake.worker_append  # noqa: F401  with fsspec
from steps.lake.workers import IMPORTED

if "mimalloc" in pyarrow.supported_memory_backends():
    # it keeps the memory of one batch of images for the next, and writes in half the time
    pyarrow.set_memory_pool(pyarrow.mimalloc_memory_pool())

NAMED = os.environ.get(IMPORTED, "").split()


def import_named() -> None:
    """Import the modules that the step names, once."""
    while NAMED:
        importlib.import_module(NAMED.pop(0))
        gc.freeze()


if __name__ == "__main__":
    gc.freeze()  # nor do the workers collect what they share
    gc.enable()
    os.register_at_fork(after_in_parent=import_named)
    daemon.manager()
