"""The Spark session with Delta Lake."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from steps.lake.executors import executor_environment, project_archive
from steps.lake.jars import delta_jars, s3_jars
from steps.pipeline.signals import held_back
from steps.settings.profile import PROJECT, Profile

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOG4J = f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}"

TASKS_A_CORE = 2
"""So that a core whose images are small helps with the others'."""

logger = logging.getLogger(__name__)


@contextmanager
def spark_session(profile: Profile, step: str) -> Iterator["SparkSession"]:
    """Start Spark as the profile says, and stop it at the end.

    A profile without a master takes the session that is there, as on Databricks, and leaves it.
    Starting takes 10–20 s on two cores: ask for it only where it is needed.
    """
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    if profile.spark.master is None:
        session = SparkSession.builder.getOrCreate()
        session.sparkContext.addPyFile(project_archive())
        yield session
        return
    logger.info("starting Spark on %s …", profile.spark.master)
    logging.getLogger().addFilter(_is_no_trace_of_ctrl_c)
    settings = _merged(_settings(profile), profile.spark.config)
    # the workers' interpreter: on this machine it is this one
    os.environ["PYSPARK_PYTHON"] = settings.get("spark.pyspark.python", sys.executable)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])
    )
    conf = SparkConf().setAll(list(settings.items()))
    conf.setAppName(f"lakehouse-vision {step}").setMaster(profile.spark.master)
    # a JVM whose Python goes before it has started stays for ever; and what PySpark puts in the
    # place of Ctrl-C calls the JVM amid another call, which then fails as a mistake would
    with held_back():
        if _is_local(profile):
            context = SparkContext.getOrCreate(conf)
        else:
            code, environment = [project_archive()], executor_environment()
            context = SparkContext(conf=conf, pyFiles=code, environment=environment)
    context.setLogLevel("ERROR")
    session = SparkSession.builder.getOrCreate()
    try:
        yield session
    finally:
        session.stop()


LISTS = {
    "spark.jars": ",",
    "spark.sql.extensions": ",",
    "spark.driver.extraJavaOptions": " ",
}
"""Settings of the project that hold several values, and what stands between these."""


def _merged(own: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    """The profile's settings count before the project's own; to a list they add."""
    added = {
        key: f"{own[key]}{between}{given[key]}" for key, between in LISTS.items() if key in given
    }
    return own | given | added


def _is_no_trace_of_ctrl_c(record: logging.LogRecord) -> bool:
    """Py4J (0.10.9) prints the trace of a Ctrl-C, which it raises all the same."""
    return record.msg != "KeyboardInterrupt while sending command."


def _is_local(profile: Profile) -> bool:
    return (profile.spark.master or "").startswith("local")


def _in_s3(profile: Profile) -> bool:
    return any(place.startswith("s3a://") for place in (profile.lake, profile.cache))


def _settings(profile: Profile) -> dict[str, str]:
    settings = {
        "spark.jars": ",".join(map(str, delta_jars() + (s3_jars() if _in_s3(profile) else []))),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.parquet.compression.codec": "uncompressed",  # JPEG bytes do not compress
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "true",
        "spark.driver.extraJavaOptions": LOG4J,
        # a landing zone is many small files: list them in a few tasks, read many in one
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
        "spark.sql.files.openCostInBytes": str(256 * 1024),
        # batches of whole images: a few hundred rows are tens of megabytes
        "spark.sql.execution.arrow.maxRecordsPerBatch": "64",
        # a task writes the days of its images side by side, and need not sort whole images
        "spark.sql.maxConcurrentOutputFileWriters": "64",
    }
    if not _in_s3(profile):  # S3A buffers through the checksummed file system, and no other
        # Hadoop's checksummed file system looks for a .crc file by a path that may hold no
        # colon, and cameras put the time into a name
        settings["spark.hadoop.fs.file.impl"] = "org.apache.hadoop.fs.RawLocalFileSystem"
    if _is_local(profile):
        cores = str(os.cpu_count() or 1)
        settings["spark.default.parallelism"] = str(TASKS_A_CORE * int(cores))
        # Delta reads its own state in 50 tasks otherwise, and each shuffle in 200
        settings["spark.sql.shuffle.partitions"] = cores
        settings["spark.databricks.delta.snapshotPartitions"] = cores
        # a step's Spark lives for a minute, in which the optimising compiler costs more than it
        # gives: a third less from start to end, measured on two cores
        settings["spark.driver.extraJavaOptions"] += " -XX:TieredStopAtLevel=1 -XX:+UseParallelGC"
        settings["spark.python.daemon.module"] = "steps.ingestion.worker_preload"
        settings["spark.driver.bindAddress"] = "127.0.0.1"
        settings["spark.driver.host"] = "127.0.0.1"
    return settings
