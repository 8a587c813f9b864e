"""What a benchmark ran on, and how much memory it took."""

import os
import platform
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil


def machine() -> str:
    """One line: processor, cores, memory, load before the start."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = psutil.virtual_memory().total / 1e9
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GB, load {os.getloadavg()[0]:.1f}"


def peak_megabytes(process: int | str = "self") -> float:
    """The highest resident memory of a process that still runs, in MB, by the kernel's count.

    getrusage's is no substitute: it begins with what the process that started this one held.
    """
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


class Cost(NamedTuple):
    """What a program and the processes below it took.

    Attributes:
        cpu_s, elapsed_s: seconds.
        driver_mb, java_mb, workers_mb: the highest resident memory of the program itself, its
            JVM, and all its other processes together.
    """

    cpu_s: float
    elapsed_s: float
    driver_mb: int
    java_mb: int
    workers_mb: int


def measure(program: subprocess.Popen) -> Cost:
    """Wait for a program, and return what it took, sampled."""
    began = time.perf_counter()
    seconds: dict[tuple[int, float], float] = {}
    peak = dict.fromkeys(("driver", "java", "workers"), 0)
    while program.poll() is None:
        now = dict.fromkeys(peak, 0)
        with suppress(psutil.NoSuchProcess):
            top = psutil.Process(program.pid)
            for one in (top, *top.children(recursive=True)):
                with suppress(psutil.NoSuchProcess), one.oneshot():
                    times = one.cpu_times()
                    seconds[one.pid, one.create_time()] = times.user + times.system
                    # others are forks of the JVM, with its memory, about to run a program
                    kinds = {"java": "java", "python": "workers"}
                    kind = "driver" if one is top else kinds.get(one.name().rstrip("0123456789."))
                    if kind:
                        now[kind] += one.memory_info().rss
        peak = {kind: max(size, now[kind]) for kind, size in peak.items()}
        time.sleep(0.2)
    megabytes = (size // 1_000_000 for size in peak.values())
    elapsed = time.perf_counter() - began
    return Cost(round(sum(seconds.values()), 1), round(elapsed, 1), *megabytes)
