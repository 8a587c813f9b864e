"""Spark's daemon of Python workers, with what all of them need imported before it forks them.

Otherwise each worker imports it for itself, which takes two seconds of a core, and four more for
TensorFlow. What is imported must not have computed yet: threads are not forked.
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

if __name__ == "__main__":
    for name in os.environ.get(IMPORTED, "").split():
        importlib.import_module(name)
    gc.freeze()  # nor do the workers collect what they share
    gc.enable()
    daemon.manager()
