"""Spark's daemon of Python workers, with what they need imported before it forks them.

Each would import it for itself otherwise, for two seconds of a core; Arrow asks for pandas.
"""

import pandas  # noqa: F401
import pyarrow
import pyarrow.parquet
from pyspark import daemon

import steps.ingestion.image_files  # noqa: F401

if "mimalloc" in pyarrow.supported_memory_backends():
    # it keeps the memory of one batch of images for the next, and writes in half the time
    pyarrow.set_memory_pool(pyarrow.mimalloc_memory_pool())

if __name__ == "__main__":
    daemon.manager()
