"""Spark begins before MLflow is imported, where an ingest is sure to need it; a stop ends both."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path

import psutil
import pytest
from drawing import jpeg
from ingest_process import kill, make_place, session_of, wait_until

from steps.environment import environment_kept
from steps.ingestion import head_start
from steps.ingestion.head_start import begun_session
from steps.pipeline.signals import INTERRUPTED, handlers_kept
from steps.settings.profile import PROJECT


@pytest.fixture
def started(monkeypatch) -> list[str]:
    """What happens to Spark, which is none here."""
    events: list[str] = []

    @contextmanager
    def session(profile, step):
        events.append(f"{step} in {profile.lake}")
        try:
            yield "session"
        finally:
            events.append("stopped")

    monkeypatch.setattr(head_start, "spark_session", session)
    monkeypatch.setattr(head_start, "filtered_stderr", lambda passes_all: nullcontext())
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    return events


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with a landing zone of images in subfolders, one of none, and a lake."""
    (tmp_path / "zone" / "good").mkdir(parents=True)
    (tmp_path / "zone" / "good" / "a.JPG").write_bytes(b"")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_bytes(b"")
    (tmp_path / "old").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def begin(monkeypatch, *arguments: str, step: str = "ingest") -> None:
    """Give the command its arguments, begin, and end."""
    monkeypatch.setattr(sys, "argv", [f"{step}.py", *arguments])
    with handlers_kept(), environment_kept(), begun_session(step) as session:
        assert session is None or session() == "session"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--source", "zone", "--override", "lake=new"],
        ["--source=file:zone", "--override.lake=new"],
        ["--source", "zone", "--override", "lake=new", "--verbose", "--debug", "--model", "porch"],
    ],
)
def test_spark_begins_for_the_first_images_of_a_lake(started, place, monkeypatch, arguments):
    arguments = [one.replace("file:", f"file:{place}/") for one in arguments]
    begin(monkeypatch, *(one.replace("lake=new", f"lake={place}/new") for one in arguments))
    assert started == [f"ingest in {place}/new", "stopped"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--source"],
        ["--source", "missing"],
        ["--source", "notes"],
        ["--source", "s3://bucket/images"],
        ["--source", "zone", "--help"],
        ["--source", "zone", "--version"],
        ["--source", "zone", "--trigger", "continuous"],
        ["--source", "zone", "--labels", "missing.csv"],
        ["--source", "zone", "--profile", "missing"],
        ["--source", "zone", "--override", "lake=old"],
        ["--source", "zone", "--override", "lake=s3a://bucket/lake"],
        ["--source", "zone", "--override", "spark.master=spark://here:7077"],
        ["--source", "zone", "--override", "spark.master=null"],
    ],
)
def test_spark_does_not_begin_for_what_may_need_none(started, place, monkeypatch, capfd, arguments):
    lake = [] if "--override" in arguments else ["--override", f"lake={place}/new"]
    begin(monkeypatch, *(one.replace("lake=old", f"lake={place}/old") for one in arguments), *lake)
    assert not started
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        (["--tune_trials", "4", "--network=compact", "--on_refusal", "fail", "--debug"], True),
        (["--until", "ingest"], False),
        (["--from=tune"], False),
        (["--dry_run"], False),
        (["--force", "tune"], False),
        (["--help"], False),
        (["--override.training.launcher=single"], False),
        (["--source", "missing"], False),
    ],
)
def test_main_begins_if_it_goes_down_the_whole_pipeline(
    started, place, monkeypatch, arguments, begins
):
    given = ["--source", "zone", "--override", f"lake={place}/new", *arguments]
    begin(monkeypatch, *given, step="main")
    assert started == ([f"main in {place}/new", "stopped"] if begins else [])


def test_what_the_step_has_to_tell_of_is_left_to_it(started, place, monkeypatch):
    monkeypatch.setenv("FSSPEC_S3", "no JSON")
    begin(monkeypatch, "--source", "zone", "--override", f"lake={place}/new")
    assert not started


def test_a_stop_of_the_imports_ends_spark(started, place, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ingest.py", "--source=zone", f"--override=lake={place}/new"])
    with (
        handlers_kept(),
        environment_kept(),
        pytest.raises(SystemExit) as ended,
        begun_session("ingest"),
    ):
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == INTERRUPTED
    assert started == [f"ingest in {place}/new", "stopped"]


def test_mlflow_is_not_imported_before():
    program = "import sys, steps.ingestion.head_start; print('mlflow' in sys.modules)"
    command = [sys.executable, "-c", program]
    assert subprocess.check_output(command, cwd=PROJECT, text=True) == "False\n"


@pytest.mark.slow
@pytest.mark.parametrize("stop", ["SIGKILL", "SIGINT"])
def test_a_stop_while_spark_starts_leaves_no_process(tmp_path, empty_store, stop):
    store = tmp_path / "mlflow.db"
    store.write_bytes(empty_store.read_bytes())
    place = make_place(tmp_path, f"sqlite:///{store}")
    (place.zone / "a.jpg").write_bytes(jpeg(1))
    ingest = place.start("said.txt")
    try:
        assert wait_until(lambda: _has_java(ingest.pid), ingest)
        os.kill(ingest.pid, signal.Signals[stop])
        ended = ingest.wait(60)
        assert ended == (INTERRUPTED if stop == "SIGINT" else -signal.SIGKILL), place.said(
            "said.txt"
        )
        psutil.wait_procs(session_of(ingest.pid), timeout=60)
        assert not session_of(ingest.pid)
    finally:
        kill(ingest)
    assert "Traceback" not in place.said("said.txt")
    assert not place.lake.exists()


def _has_java(leader: int) -> bool:
    return any(process.name() == "java" for process in psutil.Process(leader).children(True))
