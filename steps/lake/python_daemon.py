"""Spark's daemon of Python workers, with what they need imported before it forks them.

Each would import it for itself otherwise, for two seconds of a core; Arrow asks for pandas.
"""

import pandas  # noqa: F401
import pyarrow.parquet  # noqa: F401
from pyspark import daemon

import steps.lake.data_files  # noqa: F401

if __name__ == "__main__":
    daemon.manager()
