"""The self-test in a process of its own: a network that hangs or takes all memory ends only that.

python -m edge.update.self_test_process FOLDER THREADS
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from edge.protocol.release import ReleaseError
from edge.update.errors import CrashedError
from edge.update.self_test import SelfTestResult, run_self_test

SECONDS = 300.0
MEMORY_BYTES = 2 << 30
PR_SET_PDEATHSIG = 1
PROJECT = Path(__file__).parents[2]


def self_test_apart(folder: Path, threads: int = 0) -> SelfTestResult:
    """Run :func:`edge.update.self_test.run_self_test` in a process with limits.

    Raises:
        CrashedError: it takes too long, or the process ends without a result.
        ReleaseError: the float network fails.
    """
    command = [sys.executable, "-P", "-m", __name__, str(folder), str(threads)]
    try:
        done = subprocess.run(
            command,
            env=os.environ | {"PYTHONPATH": str(PROJECT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise CrashedError(f"its self-test takes longer than {SECONDS:.0f} s") from error
    except ValueError as error:
        raise CrashedError(f"its self-test ended with status {done.returncode}") from error
    if "error" in answer:
        raise ReleaseError(answer["error"])
    return SelfTestResult(**answer)


def main(folder: str, threads: str) -> None:
    """Set the limits, run the self-test and print its result or its error as JSON."""
    _end_with_parent()
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    memory = MEMORY_BYTES if most == resource.RLIM_INFINITY else min(MEMORY_BYTES, most)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # if the agent is gone, and the kernel does not know that
    cpu_seconds = int(SECONDS) * (os.cpu_count() or 1)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    with suppress(OSError):  # without enough memory, the kernel ends this process first
        Path("/proc/self/oom_score_adj").write_text("1000")
    try:
        answer = asdict(run_self_test(Path(folder), int(threads)))
    except ReleaseError as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


def _end_with_parent() -> None:
    """Have the kernel end this process with the thread that waits for it; only Linux can."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
