"""The Spark session with Delta Lake."""

import logging
import os
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from shutil import which

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from steps.environment import use_own_spark
from steps.errors import UserError
from steps.lake.early_session import EarlySession, in_background
from steps.lake.executors import executor_environment, project_archive
from steps.lake.jars import end_jvm
from steps.lake.spark_settings import is_local, spark_settings
from steps.pipeline.signals import held_back
from steps.settings.profile import PROJECT, Profile
from steps.terminal import is_verbose

SMALL_ROW_GROUPS = {"parquet.block.size": 16 * 1024**2, "parquet.page.size.row.check.min": 1}
"""For whatever writes images, compaction and MERGE included: a reader of one image decodes its row
group up to it. Without the second, Parquet would look at the size after a hundred rows."""

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
        self._stopping = in_background(running.close)

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
    settings = spark_settings(profile)
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


def _is_not_py4j_interrupt(record: logging.LogRecord) -> bool:
    """Return whether it is not Py4J's trace of a Ctrl-C, which Py4J (0.10.9) raises as well."""
    return record.msg != "KeyboardInterrupt while sending command."
