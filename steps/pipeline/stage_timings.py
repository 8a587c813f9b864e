"""The time that the stages of a step take."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow

from steps.pipeline.report import Report


class StageTimings:
    """Seconds by stage, logged to the run as ``seconds_<stage>`` and shown in its report.

    The first, ``start``, is the time to the start of the first stage, for imports, the store and
    the inputs: from the start of the process or, in a process that runs other steps, of the step.

    Args:
        started: when the step started, by ``time.monotonic``; None: with the process.

    Example::

        with run.timings.measure("cache"):
            cache = find_or_fill(selection, profile, spark)
    """

    def __init__(self, started: float | None = None) -> None:
        self._started = started
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Time the block."""
        started = time.monotonic()
        if not self.seconds:
            since = self._started
            self.seconds = {"start": _process_age() if since is None else started - since}
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - started

    def separate(self, stage: str, name: str, seconds: float) -> None:
        """Count so many seconds of a stage as a stage of their own."""
        self.seconds[stage] -= seconds
        self.seconds[name] = seconds

    def log(self, report: Report) -> None:
        """Log the stages, if there are any, as metrics of the active run, and show them."""
        if self.seconds:
            mlflow.log_metrics({f"seconds_{stage}": spent for stage, spent in self.seconds.items()})
            rows = [[stage, round(spent, 1)] for stage, spent in self.seconds.items()]
            report.table("Seconds by stage", ["stage", "seconds"], rows)


def _process_age() -> float:
    """Return the seconds since this process was started, as Linux counts them."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
