"""Spark's Python workers with what a step's functions import, imported once for all of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.serializers import SpecialLengths
from pyspark.sql import SparkSession

IMPORTED = "LAKEHOUSE_VISION_IMPORTED"
"""Names the modules in a worker's environment. Spark keeps a daemon for each environment."""

DAEMON = "spark.python.daemon.module"
"""Spark's setting that names the daemon of its Python workers: ours, where they are on this
machine."""


@contextmanager
def importing_workers(spark: SparkSession, *modules: str) -> Iterator[None]:
    """Let workers that start within the block have these modules.

    They are imported in the background from now on. On other machines than this one, Spark starts
    its workers by itself, and each imports what it needs.
    """
    context = spark.sparkContext
    context.environment[IMPORTED] = " ".join(modules)
    try:
        if context.getConf().get(DAEMON):
            context.parallelize([0], 1).map(_start).count()
        yield
    finally:
        del context.environment[IMPORTED]


@contextmanager
def plain_workers(spark: SparkSession) -> Iterator[None]:
    """Let functions that are given to Spark within the block run in workers without modules.

    Such as those of an ingest that ran before. A daemon that has TensorFlow starts in seconds.
    """
    imported = spark.sparkContext.environment.pop(IMPORTED, None)
    try:
        yield
    finally:
        if imported is not None:
            spark.sparkContext.environment[IMPORTED] = imported


def _start(_: int) -> int:
    """Start Spark's daemon, which imports the modules once it has forked this worker."""
    # at its end the worker then says that it is not to be used again: it lacks the modules
    SpecialLengths.END_OF_STREAM = None
    return 0
