"""The Spark session: shared, stopped, and refused without Java."""

import subprocess
import sys
from contextlib import contextmanager
from shutil import which

import pytest
from pyspark.java_gateway import launch_gateway

from steps.errors import UserError
from steps.lake import session
from steps.lake.session import SharedSession, _java_required, spark_session
from steps.settings.profile import PROJECT


@pytest.mark.parametrize(
    ("java_home", "said"),
    [
        ("", "there is no Java here: Spark takes Java 17 or 21; run: make setup"),
        (
            "/nowhere",
            "/nowhere/bin/java does not start: Spark takes Java 17 or 21; run: make setup",
        ),
    ],
)
def test_a_machine_without_java_is_told_so(tmp_path, monkeypatch, java_home, said):
    for name in ("bash", "dirname", "env"):
        (tmp_path / name).symlink_to(which(name))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", java_home)
    with pytest.raises(UserError, match=said), _java_required():
        launch_gateway()


START_TWICE = """
import psutil
from py4j.protocol import Py4JError
from steps.environment import prepare_environment
from steps.lake.session import SharedSession, spark_session
from steps.settings.profile import load_profile

prepare_environment(verbose=False)
profile = load_profile("local", "spark.config={}")


def children() -> list[str]:
    return [process.name() for process in psutil.Process().children(recursive=True)]


with SharedSession() as shared:
    for step in ("first", "second"):
        try:
            with spark_session(profile, step) as spark:
                assert spark.range(5).rdd.map(lambda row: 2 * row[0]).sum() == 20
                spark._jvm.java.io.FileInputStream(f"/nowhere/{step}")
        except Py4JError as raised:
            error = raised
        print(children().count("java"))  # the one before has ended
        shared.stop()
        assert f"/nowhere/{step}" in str(error)  # which Java no longer tells
print(children())
"""


@pytest.mark.slow
def test_a_session_that_is_stopped_leaves_no_process_and_starts_again():
    done = subprocess.run(
        [sys.executable, "-c", START_TWICE],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (0, "1\n1\n[]\n"), done.stderr[-3000:]


@pytest.mark.slow
def test_the_steps_of_a_process_share_a_session_until_it_is_stopped(lake, monkeypatch):
    started = []

    @contextmanager
    def start(profile, step):
        started.append(f"{step} starts")
        yield lake.spark
        started.append(f"{step} stops")

    monkeypatch.setattr(session, "_start", start)
    for step in ("first", "second"):
        with spark_session(lake.profile, step):
            pass
    assert started == ["first starts", "first stops", "second starts", "second stops"]
    started.clear()
    with SharedSession() as shared:
        for step in ("first", "second"):
            with spark_session(lake.profile, step) as spark:
                assert spark.range(3).count() == 3
        shared.stop()
        with spark_session(lake.profile, "third"):
            pass
    assert started == ["first starts", "first stops", "third starts", "third stops"]
