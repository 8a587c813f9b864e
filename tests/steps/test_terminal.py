"""Known noise does not reach the terminal, and every other line does."""

import os
import subprocess
import sys
import textwrap

import pytest

from steps.settings.profile import PROJECT
from steps.terminal import Filter

NOISE = [
    "WARNING: Using incubator modules: jdk.incubator.vector\n",
    "01:02:03 WARN NativeCodeLoader: Unable to load native-hadoop library for your platform\n",
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n",
    "I0000 00:00:1795917367.576153   15868 devices.cc:76] Number of eligible GPUs: 0\n",
    "W0000 00:00:1.2 3 op_level_cost_estimator.cc:699] Error in PredictCost() for the op: op:\n",
    "2026-01-01 I tensorflow/core/util/port.cc:153] oneDNN custom operations are on. You may see\n",
    "2026-01-01 I external/cuda.cc:32] Could not find cuda drivers on your machine\n",
    "E0000 00:00:1.2 3 cuda_dnn.cc:8310] Unable to register cuDNN factory: Attempting to\n",
    "/x/petastorm/fs_utils.py:88: FutureWarning: pyarrow.localfs is deprecated\n  self.fs = a()\n",
    "/x/pyarrow/pandas_compat.py:1: DeprecationWarning: old\n    old()\n",
    "2026/01/01 WARNING mlflow.models.model: Model logged without a signature and input example\n",
    "2026/01/01 WARNING mlflow.sklearn: Saving models in the pickle format requires caution\n",
    "Total Trials: 2: 2 succeeded, 0 failed, 0 cancelled.\n",
    "[0]<stderr>:WARNING: Using incubator modules: jdk.incubator.vector\n",
]
SHOWN = [
    ("[0]<stderr>:epoch 1/2  loss 0.5\n", "epoch 1/2  loss 0.5\n"),
    ("[1]<stderr>:Killed\n", "rank 1: Killed\n"),
    *((line, line) for line in ("\n", "  indented\n", "Traceback (most recent call last):\n")),
    *((line, line) for line in ("01:02:03 ERROR Utils: Aborting task\n", "ünï\xa0code\n")),
    ("/home/me/a.py:1: FutureWarning: of mine\n", "/home/me/a.py:1: FutureWarning: of mine\n"),
    ("2026/01/01 WARNING mlflow.store: slow\n", "2026/01/01 WARNING mlflow.store: slow\n"),
    (
        "E0000 00:00:1.2 3 tensor.cc:1] out of memory\n",
        "E0000 00:00:1.2 3 tensor.cc:1] out of memory\n",
    ),
]


@pytest.mark.parametrize("line", NOISE)
def test_noise_is_left_out_with_the_line_of_code_below_it(line):
    assert Filter(False).feed(f"before\n{line}after\n".encode()) == b"before\nafter\n"


@pytest.mark.parametrize(("line", "shown"), SHOWN)
def test_every_other_line_is_shown_however_it_arrives(line, shown):
    lines = Filter(False)
    pieces = [line.encode()[start : start + 3] for start in range(0, len(line.encode()), 3)]
    assert b"".join(map(lines.feed, pieces)) + lines.flush() == shown.encode()


@pytest.mark.parametrize(("is_terminal", "shown"), [(True, True), (False, False)])
def test_a_progress_bar_is_for_terminals(is_terminal, shown):
    lines, bar = Filter(is_terminal), b"\r[Stage 2:>      (0 + 2) / 2]\r      \rdone\n"
    assert lines.feed(bar) == (bar if shown else b"done\n")


def test_a_line_without_an_end_is_shown_and_continued():
    lines = Filter(False)
    assert lines.feed(b"password: ") + lines.flush() == b"password: "
    assert lines.feed(b"WARNING: Using incubator modules\n") != b""


PROGRAM = """
    import os, subprocess, sys
    from steps.terminal import filtered_stderr
    with filtered_stderr(passes_all=sys.argv[1] == "verbose"):
        os.write(2, b"WARNING: Using incubator modules: x\\nof this process\\n")
        noise = "echo 'WARNING: Using incubator modules: x' >&2"
        subprocess.run(noise + "; echo of a child >&2", shell=True)
        nested = "from steps.terminal import filtered_stderr as f\\nwith f(): " + (
            "print(2 * 'nested ', file=__import__('sys').stderr)"
        )
        subprocess.run([sys.executable, "-c", nested], check=True)
        if sys.argv[1] == "killed":
            os.write(2, b"the last line")
            os.kill(os.getpid(), 9)
    sys.exit("an error")
"""


@pytest.mark.parametrize(
    ("how", "status", "last"),
    [("quiet", 1, "an error\n"), ("verbose", 1, "an error\n"), ("killed", -9, "the last line")],
)
def test_the_lines_of_a_process_and_its_children(how, status, last):
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), how]
    done = subprocess.run(
        command, cwd=PROJECT, env=os.environ, capture_output=True, text=True, timeout=60
    )
    noise = 2 * ["WARNING: Using incubator modules: x\n"] if how == "verbose" else ["", ""]
    assert done.stderr == (
        f"{noise[0]}of this process\n{noise[1]}of a child\nnested nested \n{last}"
    )
    assert done.returncode == status
