"""What the libraries write to the terminal: known noise is left out, every other line passes.

Run as a program, it copies its input to its output so. It needs the standard library only.
"""

import logging
import os
import re
import select
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

FILTERED = "LAKEHOUSE_VISION_STDERR"
"""The environment variable that names the pipe to the filter, so that nested steps need none."""

NOISE = re.compile(
    rb"WARNING: (Using incubator modules|All log messages before absl::InitializeLog)"
    rb"|.*WARN.* NativeCodeLoader: |Using Spark's default log4j profile|Setting default log level"
    rb"|To adjust logging level use sc\.setLogLevel|Total Trials: \d+: \d+ succeeded"
    # of TensorFlow: what its own log levels let pass
    rb"|I0000 .*\.cc:\d+\] |W0000 .*op_level_cost_estimator\.cc:\d+\] "
    rb"|.*oneDNN custom operations are on|.*This TensorFlow binary is optimized"
    rb"|To enable the following instructions|.*([Cc]ould not find cuda|failed call to cuInit"
    rb"|Unable to register cu\w+ factory|Cannot dlopen some GPU libraries|TF-TRT Warning)"
    rb"|.*[/ ](petastorm|pyarrow|mlflow)\b.*(Future|Deprecation)Warning: "
    rb"|.*WARNING mlflow\b.*([Ss]ignature|[Pp]ickle|type hint)"
    rb"|.*/mlflow/.*UserWarning: .*([Ss]ignature|[Pp]ickle|type hint)"
)
SOURCE_LINE = re.compile(rb"  +\S")
"""What Python prints after a warning: the line of code that caused it."""
RANK = re.compile(rb"\[(\d+)\]<std(?:err|out)>:")
PROGRESS = re.compile(rb"\[Stage \d+:.*| *")
"""Spark's progress bar, and the spaces that clear it: for a terminal only."""
WAIT_SECONDS = 0.2
"""After which a line without an end is shown, such as a progress bar."""


QUIET = {
    "matplotlib": logging.ERROR,  # that it keeps no cache in a home it cannot write
    "mlflow.models.model": logging.ERROR,
    "mlflow.projects": logging.WARNING,
    "mlflow.pyfunc": logging.ERROR,
    "mlflow.store.db.utils": logging.CRITICAL,  # the trace of what it raises as well
    "mlflow.utils.environment": logging.ERROR,  # an environment that uv made has no pip
    "petastorm": logging.ERROR,
    "tf2onnx": logging.ERROR,
}
"""Loggers of libraries whose hints are for their authors, and the level that a user should see."""


VERBOSE = "LAKEHOUSE_VISION_VERBOSE"


def log_to_terminal() -> None:
    """Let the steps' log lines appear on standard error, as they are."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("steps").setLevel(logging.INFO)


def is_verbose() -> bool:
    """Return whether the step was started with ``verbose``, also in a process that it started."""
    return VERBOSE in os.environ


def hide_hints() -> None:
    """Let libraries log here only what a user should see; each process calls it for itself."""
    if is_verbose():
        return
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    # MLflow predicts an example; Hyperopt has its session; Petastorm uses pyarrow's old names
    for message in ("The structure of `inputs` doesn't match", "Spark session is not provided"):
        warnings.filterwarnings("ignore", message=message)
    warnings.filterwarnings("ignore", category=FutureWarning, module="petastorm|pyarrow")


@contextmanager
def filtered_stderr(passes_all: bool = False) -> Iterator[None]:
    """Let what this process and its children write to standard error pass through the filter.

    The filter is a process of its own: it shows the last lines of a step that is killed.

    Args:
        passes_all: use no filter.
    """
    if passes_all or os.environ.get(FILTERED) == str(os.fstat(2).st_ino):
        yield
        return
    kept = os.dup(2)
    # in a session of its own: a Ctrl-C must not end it before those that it reads from
    reader = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__],
        stdin=subprocess.PIPE,
        stdout=kept,
        start_new_session=True,
    )
    assert reader.stdin is not None  # noqa: S101 – for mypy
    os.dup2(reader.stdin.fileno(), 2)
    reader.stdin.close()
    os.environ[FILTERED] = str(os.fstat(2).st_ino)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        del os.environ[FILTERED]
        with suppress(subprocess.TimeoutExpired):  # a child may still write
            reader.wait(timeout=2)


class Filter:
    """Decides line by line what is shown.

    Args:
        is_terminal: whether the output is one, which shows progress bars.
    """

    def __init__(self, is_terminal: bool):
        self._is_terminal = is_terminal
        self._rest = b""
        self._dropped = self._in_line = False

    def feed(self, content: bytes) -> bytes:
        """Return what is shown of the lines that end in this content."""
        *lines, self._rest = re.split(rb"(?<=[\r\n])", self._rest + content)
        return b"".join(map(self._shown, lines))

    def flush(self) -> bytes:
        """Return what is shown of a line that has not ended; its rest will be too."""
        begun, self._rest = self._rest, b""
        return self._shown(begun) if begun else b""

    def _shown(self, line: bytes) -> bytes:
        followed, self._dropped = self._dropped, False
        continues, self._in_line = self._in_line, not line.endswith((b"\r", b"\n"))
        if not line.endswith(b"\n") and PROGRESS.fullmatch(line.rstrip(b"\r")):
            return line if self._is_terminal else b""
        if continues:
            return line
        line = RANK.sub(lambda rank: b"" if rank[1] == b"0" else b"rank %s: " % rank[1], line)
        if NOISE.match(line) or (followed and SOURCE_LINE.match(line)):
            self._dropped = b"Warning: " in line
            return b""
        return line


def main() -> None:
    """Copy standard input to standard output without the noise, until all writers have ended."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    lines = Filter(os.isatty(1))
    while True:
        waiting = select.select([0], [], [], WAIT_SECONDS)[0]
        content = os.read(0, 1 << 16) if waiting else None
        shown = lines.flush() if content in (None, b"") else lines.feed(content)
        with suppress(BrokenPipeError):  # the reader left: the writers must not fail
            while shown:
                shown = shown[os.write(1, shown) :]
        if content == b"":
            return


if __name__ == "__main__":
    main()
