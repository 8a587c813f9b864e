"""Servers as processes: started, waited for, stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from places import HERE, Place

START_SECONDS = 240

# a process ends with the one that started it, however that one ended
WITH_THIS_PROCESS = ("setpriv", "--pdeathsig", "TERM")


def start(
    command: list, log: Path, environment: dict[str, str], place: Place = HERE
) -> subprocess.Popen:
    """A process in a session of its own, so that what it starts can be ended with it."""
    with log.open("wb") as output:
        return subprocess.Popen(
            [*WITH_THIS_PROCESS, *place.enter, *map(str, command)],
            cwd=log.parent,
            env={k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def stop(process: subprocess.Popen, how: signal.Signals = signal.SIGTERM) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, how)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(what: str, ready, server: subprocess.Popen | None = None) -> None:
    """Try again until a call gives something true and raises nothing, or the server has ended."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and (server is None or server.poll() is None):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            if ready():
                return
        time.sleep(0.3)
    raise RuntimeError(f"{what} did not come up; see its log")


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HERE.address, 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def shown_logs(home: Path) -> Iterator[None]:
    """Show how each server's log ends where something goes wrong."""
    try:
        yield
    except RuntimeError:
        for log in sorted(home.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}", file=sys.stderr)
        raise
