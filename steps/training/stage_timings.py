"""Where a step spends its time."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow

from steps.pipeline.report import Report


class Stages:
    """Seconds by stage, logged to the run as ``seconds_<stage>`` and shown on its report.

    The first, ``start``, is what went by since the process began: imports, the store, the inputs.

    Example::

        stages = Stages()
        with stages.of("cache"):
            cache = find_or_fill(selection, profile, spark)
        stages.show(report)
    """

    def __init__(self) -> None:
        self.seconds = {"start": _age()}

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """Time what is done inside."""
        started = time.monotonic()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - started

    def part(self, stage: str, name: str, seconds: float) -> None:
        """Count so many seconds of a stage as one of their own."""
        self.seconds[stage] -= seconds
        self.seconds[name] = seconds

    def show(self, report: Report) -> None:
        """Log the stages and put them on the report."""
        mlflow.log_metrics({f"seconds_{stage}": spent for stage, spent in self.seconds.items()})
        report.table(
            "Where the time went",
            ["stage", "seconds"],
            [[stage, round(spent, 1)] for stage, spent in self.seconds.items()],
        )


def _age() -> float:
    """Seconds since this process was started, as Linux counts them."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
