"""A session that starts in the background: once, and it ends with the block."""

import threading
from contextlib import contextmanager

import pytest

from steps.lake.early_session import EarlySession


@contextmanager
def _session(events, may_start):
    may_start.wait(10)
    events.append("starts")
    yield "session"
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
