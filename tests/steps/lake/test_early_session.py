"""A session that starts in the background: once, and it ends with the block."""

import threading
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest
from py4j.protocol import Py4JError

from steps.lake.early_session import EarlySession
from steps.lake.session import spark_session
from steps.lake.worker_append import LocalRows
from steps.landing.arrivals import ARRIVAL
from steps.landing.listing import LandedFile
from steps.pipeline.disk_space import describe_full_disk


@contextmanager
def _session(events, may_start):
    may_start.wait(10)
    events.append("starts")
    try:
        yield "session"
    finally:
        events.append("stops")


@pytest.mark.parametrize(
    ("begun", "called", "happened"),
    [
        (False, False, []),
        (True, False, ["starts", "stops"]),
        (False, True, ["starts", "stops"]),
        (True, True, ["starts", "stops"]),
    ],
)
def test_a_session_that_nobody_asks_for_is_not_started(begun, called, happened):
    events, may_start = [], threading.Event()
    with EarlySession(lambda: _session(events, may_start)) as spark:
        if begun:
            spark.begin()
            spark.begin()
        assert events == []
        may_start.set()
        if called:
            assert spark() == spark() == "session"
    assert events == happened


def test_a_stop_waits_for_the_start_and_ends_it():
    events, may_start = [], threading.Event()

    def stopped() -> None:
        with EarlySession(lambda: _session(events, may_start)) as spark:
            spark.begin()
            threading.Timer(0.2, may_start.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert events == ["starts", "stops"]


def test_what_keeps_it_from_starting_is_raised_where_it_is_asked_for():
    def opened():
        raise OSError("no Java")

    with EarlySession(opened) as spark:
        spark.begin()
        with pytest.raises(OSError, match="no Java"):
            spark()


@pytest.mark.slow
def test_an_error_of_a_worker_needs_no_jvm_to_say_what_it_was(lake, tmp_path, monkeypatch):
    monkeypatch.setattr("steps.lake.session._start", lambda *_: nullcontext(lake.spark))

    def write(_):
        yield Path("/dev/full").write_bytes(b"x")

    with (
        pytest.raises(Py4JError) as caught,
        EarlySession(lambda: spark_session(lake.profile, "ingest")) as spark,
    ):
        LocalRows(spark(), [LandedFile("file:/a.jpg", 1, datetime.now(UTC))], ARRIVAL).collect(
            write
        )
    assert type(caught.value) is Py4JError  # others ask the JVM for their text, each time
    assert "full" in (describe_full_disk(caught.value, (str(tmp_path),)) or "")
