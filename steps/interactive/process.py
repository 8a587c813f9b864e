"""A step in a process of its own, which a notebook's cell shows as a terminal would.

TensorFlow and Spark keep the settings that they start with, and a notebook's kernel lives on: a
step that ran in it would leave them to the next one.
"""

import codecs
import math
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
import tty
from contextlib import suppress

from steps.errors import UserError
from steps.settings.profile import PROJECT

COLUMNS = 100
"""Of the terminal that the step sees: the length of its progress bars."""
POLL_SECONDS = 0.2
GRACE_SECONDS = 10.0
"""In which a step that is told to end has to."""

TRACE = r"Traceback \(most recent call last\)"
BEGIN = re.compile(rf"^{TRACE}", re.M)
PLAIN = re.compile(rf"^(?!\s|{TRACE}|During handling|The above exc|Caused by).+[\r\n]", re.M)
"""A line that a trace has few of: the error, and more lines of its message."""
MOST_PLAIN = 10
"""So many wait with a trace. With more, the step goes on: a library has only logged the trace."""
REASON = re.compile(rf"^{TRACE}.*\n(?:[ \t].*\n)*(\S.*)", re.M)
"""A trace, and the line after it that names the error."""
RUN_ID = re.compile(r"^run_id=(\w+)", re.M)


def run_step(step: str, arguments: list[str]) -> str:
    """Run a step, print what it prints as it comes, and return its run's ID.

    An interrupted cell interrupts the step, as Ctrl-C does in a terminal, and waits for its end;
    interrupted again, it ends the step.

    Args:
        step: the entry point.
        arguments: as of ``python -m steps.<step>``.

    Raises:
        UserError: the step failed. A trace is left to the report of its run.
    """
    terminal, process = _start([sys.executable, "-m", f"steps.{step}", *arguments])
    output = CellOutput(step)
    try:
        try:
            _show(process, terminal, output)
            process.wait()
        except KeyboardInterrupt:
            _send(process, signal.SIGINT)
            _show(process, terminal, output)
            output.show_rest()
            raise
    finally:
        _end(process, terminal, output)
        os.close(terminal)
    if process.returncode:
        raise UserError(output.failure)
    output.show_rest()
    return output.run_id


class CellOutput:
    """What a step prints. Its last line and a trace wait: if it fails, they are the error.

    Args:
        step: its name starts the lines with which it ends.
    """

    def __init__(self, step: str):
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._last = re.compile(rf"^{step}: .*\n?\Z", re.M)
        self._step, self._text, self._shown = step, "", 0

    def feed(self, content: bytes) -> None:
        """Print what need not wait."""
        self._text += self._decode(content)
        traces = BEGIN.finditer(self._text, self._shown)
        fresh = (t for t in traces if len(PLAIN.findall(self._text, t.end())) <= MOST_PLAIN)
        waiting = next(fresh, None) or self._last.search(self._text, self._shown)
        self._show(waiting.start() if waiting else len(self._text))

    def show_rest(self) -> None:
        """Print what has waited."""
        self._show(len(self._text))

    @property
    def run_id(self) -> str:
        """The ID of the step's run: nested runs have theirs before it."""
        return str(RUN_ID.findall(self._text)[-1])

    @property
    def failure(self) -> str:
        """The line that says why the step failed."""
        last = self._text.rstrip().rpartition("\n")[2]
        reasons = REASON.findall(self._text)
        if not reasons or last.startswith(f"{self._step}: "):
            return last or f"{self._step} failed without a word"
        return f"{self._step}: {reasons[-1]}; its trace is in the report: inspect({self._step!r})"

    def _show(self, end: int) -> None:
        print(self._text[self._shown : end], end="", flush=True)  # noqa: T201 – the cell's output
        self._shown = end


def _start(command: list[str]) -> tuple[int, subprocess.Popen[bytes]]:
    """Start a command in a terminal of its own, for its progress bars, and return the other end.

    It has a session of its own: an interrupt reaches it once, from here.
    """
    terminal, inside = pty.openpty()
    tty.setraw(inside)
    termios.tcsetwinsize(inside, (24, COLUMNS))
    # a kernel has Matplotlib draw into its notebook
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    process = subprocess.Popen(
        command,
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    return terminal, process


def _show(
    process: subprocess.Popen[bytes], terminal: int, output: CellOutput, seconds: float = math.inf
) -> None:
    """Feed the output until the process ends, or for so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], POLL_SECONDS)[0]:
            try:
                output.feed(os.read(terminal, 1 << 16))
            except OSError:  # so Linux says that all who could write have ended
                return
        elif process.poll() is not None:  # and another that it started has not
            return


def _end(process: subprocess.Popen[bytes], terminal: int, output: CellOutput) -> None:
    """End a process that still runs; kill it if it takes too long, or at another interrupt."""
    try:
        if process.poll() is None:
            _send(process, signal.SIGTERM)
            _show(process, terminal, output, GRACE_SECONDS)
    finally:
        _send(process, signal.SIGKILL)
        process.wait()


def _send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a process and those it started, if it still runs."""
    with suppress(ProcessLookupError):
        if process.poll() is None:
            os.killpg(process.pid, number)
