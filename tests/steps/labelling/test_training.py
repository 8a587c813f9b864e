"""A training that the page starts, as a process of its own."""

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from steps.errors import UserError
from steps.labelling.training import Training


def python(code: str) -> str:
    return shlex.join([sys.executable, "-uc", code])


def wait_for(training: Training, state: str) -> dict:
    until = time.monotonic() + 20
    while (now := training.describe())["state"] != state:
        assert time.monotonic() < until, now
        time.sleep(0.02)
    return now


WAITS = "sh -c 'echo epoch 1; sleep 60 & wait'"
"""With a process of its own, as MLflow has the step."""


def test_labels_are_written_first_and_its_last_lines_and_status_are_shown(tmp_path):
    code = "print('a\\rb', *range(30), sep='\\n'); import os; print('RUN', *[n for n in os.environ"
    training = Training(python(code + " if n.startswith('MLFLOW_RUN')]); exit(3)"), tmp_path)
    os.environ["MLFLOW_RUN_ID"] = "of the step"
    assert training.describe()["state"] == "none" and training.farewell() is None
    written = []
    try:
        training.start(lambda: written.append(True))
        now = wait_for(training, "ended")
    finally:
        del os.environ["MLFLOW_RUN_ID"]
    assert written == [True] and now["status"] == 3
    assert now["lines"] == [*map(str, range(19, 30)), "RUN"]


def test_while_one_runs_another_is_refused_also_by_the_next_page(tmp_path):
    training = Training(WAITS, tmp_path)
    training.start(lambda: None)
    try:
        wait_for(training, "running")
        for page in (training, Training(WAITS, tmp_path)):
            with pytest.raises(UserError, match=r"a training runs already; .*training\.log"):
                page.start(lambda: None)
        assert Training(WAITS, tmp_path).describe()["state"] == "running"
        number = training._process.pid
        assert os.getpgid(number) != os.getpgid(0)  # a Ctrl-C of the terminal does not reach it
        said = training.farewell()
        assert said.startswith(f"the training goes on as process {number} (kill ")
    finally:
        subprocess.run(shlex.split(said.partition("(")[2].partition(" stops")[0]), check=True)
    assert wait_for(training, "ended")["status"] == -signal.SIGTERM
    wait_for(Training(WAITS, tmp_path), "none")


@pytest.mark.parametrize(
    ("command", "commit", "words"),
    [
        ("no-such-program", lambda: None, "no-such-program"),
        (WAITS, lambda: 1 / 0, "division by zero"),
    ],
)
def test_what_does_not_start_says_why_and_can_be_tried_again(tmp_path, command, commit, words):
    training = Training(command, tmp_path)
    training.start(commit)
    now = wait_for(training, "ended")
    assert now["status"] is None and words in now["lines"][0]
    training.command = python("pass")
    training.start(lambda: None)
    while (now := wait_for(training, "ended"))["status"] is None:
        time.sleep(0.02)
    assert now["status"] == 0 and now["lines"] == []
