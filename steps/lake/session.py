"""The Spark session with Delta Lake."""

import logging
import os
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from shutil import which
from tempfile import gettempdir

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from steps.environment import use_own_spark
from steps.errors import UserError
from steps.lake.class_archive import archive_options
from steps.lake.early_session import EarlySession
from steps.lake.executors import driver_address, executor_environment, project_archive
from steps.lake.jars import delta_jars, end_jvm, s3_jars
from steps.lake.workers import DAEMON
from steps.pipeline.signals import held_back
from steps.settings.profile import PROJECT, Profile
from steps.terminal import is_verbose

LOG4J = Path(__file__).with_name("log4j2.properties").as_uri()

SMALL_ROW_GROUPS = {"parquet.block.size": 16 * 1024**2, "parquet.page.size.row.check.min": 1}
"""For whatever writes images, compaction and MERGE included: a reader of one image decodes its row
group up to it. Without the second, Parquet would look at the size after a hundred rows."""

TASKS_PER_CORE = 2
"""So that a core that ends early takes over work of the others."""

logger = logging.getLogger(__name__)


class SharedSession:
    """One session for the steps that run in a process, from the first that opens one on.

    Args:
        begun: the first session, if it starts already.

    Example::

        with SharedSession() as shared:
            run_steps()
            shared.stop()  # the next one starts it again
    """

    def __init__(self, begun: EarlySession | None = None) -> None:
        self._running, self._session, self._begun = ExitStack(), None, begun
        self._stopping: Future[None] | None = None

    def open(self, profile: Profile, step: str) -> SparkSession:
        """Return the session; start it if it does not run."""
        self._wait_until_stopped()
        if self._begun:
            self._running.push(self._begun)
            self._session, self._begun = self._begun(), None
        if self._session is None:
            self._session = self._running.enter_context(_start(profile, step))
        return self._session

    def stop(self) -> None:
        """Begin to stop the session, for its memory, in the background: it takes a second."""
        self._wait_until_stopped()
        self._session, running = None, self._running.pop_all()
        thread = ThreadPoolExecutor(1, "spark")
        self._stopping = thread.submit(running.close)
        thread.shutdown(wait=False)

    def _wait_until_stopped(self) -> None:
        if self._stopping:
            self._stopping.result()
            self._stopping = None

    def __enter__(self) -> "SharedSession":
        self._before = _shared.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _shared.reset(self._before)
        self.stop()
        self._wait_until_stopped()


_shared: ContextVar[SharedSession | None] = ContextVar("shared", default=None)


@contextmanager
def spark_session(profile: Profile, step: str) -> Iterator[SparkSession]:
    """Start Spark as the profile says, and stop it at the end.

    A profile without a master uses the running session, as on Databricks, and does not stop it.
    Nor is a :class:`SharedSession` stopped.
    Starting takes 10–20 s on two cores: open a session only if it is needed.
    """
    with ExitStack() as until_end:
        if shared := _shared.get():
            session = shared.open(profile, step)
        else:
            session = until_end.enter_context(_start(profile, step))
        try:
            yield session
        except Py4JJavaError as error:
            message = _read_message(error)
            raise Py4JError(message).with_traceback(error.__traceback__) from None


def _read_message(error: Py4JJavaError) -> str:
    """Return an error's message, for which Py4J asks the JVM each time: later ones get none."""
    try:
        return str(error)
    except (Py4JError, OSError):  # the JVM died
        return str(error.errmsg)


@contextmanager
def _start(profile: Profile, step: str) -> Iterator[SparkSession]:
    if profile.spark.master is None:
        session = SparkSession.builder.getOrCreate()
        session.sparkContext.addPyFile(project_archive())
        _write_small_row_groups(session)
        yield session
        return
    logger.info("starting Spark on %s …", profile.spark.master)
    logging.getLogger().addFilter(_is_not_py4j_interrupt)
    settings = _merge(_settings(profile), profile.spark.config)
    use_own_spark(is_local(profile))
    # the workers' interpreter: on this machine it is this one
    os.environ["PYSPARK_PYTHON"] = settings.get("spark.pyspark.python", sys.executable)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])
    )
    conf = SparkConf().setAll(list(settings.items()))
    conf.setAppName(f"lakehouse-vision {step}").setMaster(profile.spark.master)
    # a JVM whose Python ends before the JVM has started never ends; and PySpark's own handler of
    # Ctrl-C calls the JVM during another call, which then fails
    with held_back(), _java_required():
        if is_local(profile):
            context = SparkContext.getOrCreate(conf)
        else:
            code, environment = [project_archive()], executor_environment()
            context = SparkContext(conf=conf, pyFiles=code, environment=environment)
    # as DataFrames have it, so that RDDs share the daemon of their workers
    context.environment["SPARK_SIMPLIFIED_TRACEBACK"] = "1"
    if not is_verbose():
        context.setLogLevel("ERROR")
    session = SparkSession.builder.getOrCreate()
    _write_small_row_groups(session)
    try:
        yield session
    finally:
        with suppress(Py4JError, OSError):  # its JVM died: what ended the block says more
            session.stop()
        if SparkContext._gateway is not None:
            end_jvm(SparkContext._gateway)  # which would keep its memory
            SparkContext._gateway = SparkContext._jvm = None


@contextmanager
def _java_required() -> Iterator[None]:
    """Say in one line that there is no Java, or another one than Spark takes."""
    try:
        yield
    except PySparkRuntimeError as error:
        if error.getCondition() != "JAVA_GATEWAY_EXITED":
            raise
        home = os.environ.get("JAVA_HOME")
        java = f"{home}/bin/java" if home else which("java")
        found = f"{java} does not start" if java else "there is no Java here"
        raise UserError(f"{found}: Spark takes Java 17 or 21; run: make setup") from error


def _write_small_row_groups(session: SparkSession) -> None:
    for name, value in SMALL_ROW_GROUPS.items():
        session.conf.set(name, value)


LISTS = {
    "spark.jars": ",",
    "spark.sql.extensions": ",",
    "spark.driver.extraJavaOptions": " ",
    "spark.driver.extraClassPath": os.pathsep,
}
"""Settings of the project that hold several values, and what separates them."""


def _merge(own: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    """Return the project's settings, replaced by the profile's; lists are extended."""
    added = {
        key: separator.join(filter(None, [own.get(key), given[key]]))
        for key, separator in LISTS.items()
        if key in given
    }
    return own | given | added


def _is_not_py4j_interrupt(record: logging.LogRecord) -> bool:
    """Return whether it is not Py4J's trace of a Ctrl-C, which Py4J (0.10.9) raises as well."""
    return record.msg != "KeyboardInterrupt while sending command."


def _java_options() -> str:
    level = "info" if is_verbose() else "error"
    log = f"-Dlog4j2.configurationFile={LOG4J} -Dlakehouse.level={level}"
    return f'{log} "-Djava.io.tmpdir={gettempdir()}"'


def is_local(profile: Profile) -> bool:
    """Return whether Spark runs within the step's process and JVM, on this machine alone."""
    return (profile.spark.master or "").startswith("local")


def _in_s3(profile: Profile) -> bool:
    return any(place.startswith("s3a://") for place in (profile.lake, profile.cache))


def _settings(profile: Profile) -> dict[str, str]:
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
