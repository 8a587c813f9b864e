"""The time that the stages of a step take."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow


class StageTimings:
    """Seconds by stage, logged to the run as ``seconds_<stage>``.

    The first, ``start``, is the time since the process began: imports, the store, the inputs.

    Example::

        timings = StageTimings()
        with timings.measure("cache"):
            cache = find_or_fill(selection, profile, spark)
        timings.log()
    """

    def __init__(self) -> None:
        self.seconds = {"start": _process_age()}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Time the block."""
        started = time.monotonic()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - started

    def separate(self, stage: str, name: str, seconds: float) -> None:
        """Count so many seconds of a stage as a stage of their own."""
        self.seconds[stage] -= seconds
        self.seconds[name] = seconds

    def log(self) -> None:
        """Log the stages as metrics of the active run."""
        mlflow.log_metrics({f"seconds_{stage}": spent for stage, spent in self.seconds.items()})


def _process_age() -> float:
    """Return the seconds since this process was started, as Linux counts them."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
