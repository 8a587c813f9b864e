"""The agent as a process of its own, as systemd starts it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from agent_fakes import place_model

SECONDS = 60

CONFIG = """
device = "a7"
view = "porch"
trust_clock = true
[landing]
url = "{home}/landing"
report_minutes = 0.1
max_retry_seconds = 1
[camera]
kind = "simulated"
[capture]
period_seconds = 1
[score]
period_seconds = 0.05
uncertain_per_hour = 3600
[model]
server = "http://127.0.0.1:9"
name = "brightness"
[store]
folder = "{home}/store"
free_megabytes = 0
[page]
port = 0
"""


class Running:
    """A running agent; its log gives the page's address."""

    def __init__(self, home: Path, process: subprocess.Popen, log: Path):
        self.home, self.process, self.log = home, process, log

    @property
    def page(self) -> str:
        return self.wait_for(lambda: self._logged("its page: "))

    def status(self) -> dict:
        return requests.get(f"{self.page}/status", timeout=10).json()

    def wait_for(self, condition):
        """What the condition gives, as soon as it is true."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"the agent ended: {self.log.read_text()[-3000:]}")
            if found := condition():
                return found
            time.sleep(0.05)
        raise AssertionError(f"not within {SECONDS} s: {self.log.read_text()[-3000:]}")

    def _logged(self, words: str) -> str:
        lines = [line for line in self.log.read_text().splitlines() if words in line]
        return lines[-1].partition(words)[2] if lines else ""


@contextmanager
def running(home: Path, environment: dict | None = None, config: str = CONFIG) -> Iterator[Running]:
    """Start an agent, and kill it at the end if it still runs."""
    (home / "landing").mkdir(exist_ok=True)
    if not (home / "store").exists():
        place_model(home / "store" / "models" / "brightness", 0.005)
    path, log = home / "agent.toml", home / "log"
    path.write_text(config.format(home=home))
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "edge", "run", "--config", str(path)],
            env=os.environ | (environment or {}),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Running(home, process, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(30)
