"""What a benchmark ran on, and how much memory it took."""

import os
import platform
import re
import threading
from pathlib import Path

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


class Memory:
    """The highest resident memory of this process' children, sampled, in MB by kind.

    Example::

        with Memory() as memory:
            work()
        print(memory.peak)  # {"java": 912, "python": 260}
    """

    def __enter__(self) -> "Memory":
        self.peak: dict[str, int] = {}
        self._over = threading.Event()
        self._sampling = threading.Thread(target=self._sample, daemon=True)
        self._sampling.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._sampling.join()

    def _sample(self) -> None:
        while not self._over.wait(0.1):
            now: dict[str, int] = {}
            for child in psutil.Process().children(recursive=True):
                try:
                    kind = "java" if "java" in child.name() else "python"
                    now[kind] = now.get(kind, 0) + child.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            for kind, size in now.items():
                self.peak[kind] = max(self.peak.get(kind, 0), size // 1_000_000)
