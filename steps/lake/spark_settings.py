"""What this project sets in Spark."""

import os
from pathlib import Path
from tempfile import gettempdir

from steps.lake.class_archive import archive_options
from steps.lake.executors import driver_address
from steps.lake.jars import delta_jars, s3_jars
from steps.lake.workers import DAEMON
from steps.settings.profile import Profile
from steps.terminal import is_verbose

LOG4J = Path(__file__).with_name("log4j2.properties").as_uri()

TASKS_PER_CORE = 2
"""So that a core that ends early takes over work of the others."""

LISTS = {
    "spark.jars": ",",
    "spark.sql.extensions": ",",
    "spark.driver.extraJavaOptions": " ",
    "spark.driver.extraClassPath": os.pathsep,
}
"""Settings of the project that hold several values, and what separates them."""


def spark_settings(profile: Profile) -> dict[str, str]:
    """Return all settings of a profile's Spark: the project's, replaced or extended by its own."""
    return _merge(_own(profile), profile.spark.config)


def is_local(profile: Profile) -> bool:
    """Return whether Spark runs within the step's process and JVM, on this machine alone."""
    return (profile.spark.master or "").startswith("local")


def _merge(own: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    """Return the project's settings, replaced by the profile's; lists are extended."""
    added = {
        key: separator.join(filter(None, [own.get(key), given[key]]))
        for key, separator in LISTS.items()
        if key in given
    }
    return own | given | added


def _own(profile: Profile) -> dict[str, str]:
    delta, jars = delta_jars(), s3_jars() if _in_s3(profile) else []
    if not is_local(profile):
        jars = delta + jars
    settings = {
        "spark.jars": ",".join(map(str, jars)),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.parquet.compression.codec": "uncompressed",  # JPEG bytes do not compress
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "true",
        "spark.driver.extraJavaOptions": _java_options(),
        # many small files: list them in a few tasks, read many in one
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
        "spark.sql.files.openCostInBytes": str(256 * 1024),
        # rows hold images: a few hundred of them are tens of megabytes
        "spark.sql.execution.arrow.maxRecordsPerBatch": "64",
        # a task writes one file a partition at the same time, and need not sort its rows
        "spark.sql.maxConcurrentOutputFileWriters": "64",
    }
    if profile.spark.config.get("spark.hadoop.fs.s3a.endpoint"):
        # as s3fs does there: with the bucket before it, the name of the store need not resolve
        settings["spark.hadoop.fs.s3a.path.style.access"] = "true"
    if not _in_s3(profile):  # S3A buffers through the checksummed file system only
        # Hadoop's checksummed file system allows no colon in a path, and cameras put the time
        # into names
        settings["spark.hadoop.fs.file.impl"] = "org.apache.hadoop.fs.RawLocalFileSystem"
    if is_local(profile):
        settings["spark.driver.extraClassPath"] = os.pathsep.join(map(str, delta))
        cores = str(os.cpu_count() or 1)
        settings["spark.default.parallelism"] = str(TASKS_PER_CORE * int(cores))
        # the defaults are 200 tasks a shuffle, and 50 to read Delta's own state
        settings["spark.sql.shuffle.partitions"] = cores
        settings["spark.databricks.delta.snapshotPartitions"] = cores
        # a step's Spark runs for a minute, in which the optimising compiler costs more than it
        # saves: a third less time from start to end, measured on two cores. It would also lower
        # the space for compiled code from 240 MB to 48, which a session of hours fills.
        compiler = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseParallelGC"
        settings["spark.driver.extraJavaOptions"] += f" {compiler} {archive_options()}"
        settings[DAEMON] = "steps.lake.worker_daemon"
        settings["spark.driver.bindAddress"] = "127.0.0.1"
        settings["spark.driver.host"] = "127.0.0.1"
        settings["spark.hadoop.fs.defaultFS"] = "file:///"  # whatever HADOOP_CONF_DIR says
    elif address := driver_address(profile.spark.master or ""):
        settings["spark.driver.host"] = address
    return settings


def _java_options() -> str:
    level = "info" if is_verbose() else "error"
    log = f"-Dlog4j2.configurationFile={LOG4J} -Dlakehouse.level={level}"
    return f'{log} "-Djava.io.tmpdir={gettempdir()}"'


def _in_s3(profile: Profile) -> bool:
    return any(place.startswith("s3a://") for place in (profile.lake, profile.cache))
