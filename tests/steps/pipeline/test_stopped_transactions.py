"""A stop that comes while MLflow writes to a SQLite store leaves the store to the others."""

import subprocess
import sys

import pytest

from steps.settings.profile import PROJECT

WRITES = """
import os, signal, sqlite3, sys, time
import mlflow
from sqlalchemy import Engine, event
from steps.pipeline.signals import raise_when_stopped
from steps.pipeline.tracking_store import use_tracking_store
from steps.settings.profile import load_profile

profile = load_profile("local", "tracking_uri=" + sys.argv[1])
use_tracking_store(profile)
run = mlflow.start_run()
raise_when_stopped()

stopped = []

def stop(connection, cursor, statement, *_):
    if {when} and not stopped:
        stopped.append(statement)
        os.kill(os.getpid(), signal.{number})
        time.sleep(0.05)

event.listen(Engine, {event!r}, stop)
try:
    mlflow.set_tags({{"step": "train"}})
    print("went on")
except KeyboardInterrupt:
    other = sqlite3.connect(sys.argv[1].removeprefix("sqlite:///"), timeout=0)
    other.execute("UPDATE runs SET name = 'other'")
    other.rollback()
    mlflow.end_run("KILLED")
    tags = mlflow.get_run(run.info.run_id).data.tags
    print("stopped", mlflow.get_run(run.info.run_id).info.status, tags.get("step"))
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    ("event", "when"),
    [
        ("before_cursor_execute", "statement.startswith('INSERT')"),
        ("after_cursor_execute", "statement.startswith('INSERT')"),
    ],
)
def test_it_comes_after_the_transaction(store, number, event, when):
    program = WRITES.format(number=number, event=event, when=when)
    command = [sys.executable, "-c", program, store]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=100)
    assert ended.stdout == "stopped KILLED train\n", ended.stderr
