"""A host of the cluster that is disconnected in the middle of a step, and connected again."""

import math
import os
import random
import re
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from cluster_site import Site
from hosts import Network
from test_lost_worker import busy

DEADLINE = 900
"""Seconds after which a step that has not ended hangs."""


@dataclass(frozen=True)
class Cut:
    """When which host is disconnected.

    Attributes:
        step: the entry point.
        host: the name of the host.
        said: what the step has said by then, as a pattern.
        logged: a metric that the step has logged by then.
        moved: bytes that went through the host's cable since then.
        at_work: whether the host, a worker, has a task by then.
        seconds: how long it is away; infinity: until the step has ended.
        parameters: of the step.
    """

    step: str
    host: str
    said: str = ""
    logged: str = ""
    moved: int = 0
    at_work: bool = False
    seconds: float = 8
    parameters: dict[str, object] = field(default_factory=dict)

    def is_now(self, site: Site, log: Path, before: int) -> bool:
        """Whether it is time; ``before`` is what had moved when the step began."""
        if self.said and not re.search(self.said, log.read_text(errors="replace")):
            return False
        if self.logged and not _has_logged(site, self.step, self.logged):
            return False
        host = site.cluster.places[self.host]
        if self.moved and host.moved() - before < self.moved:
            return False
        return not self.at_work or busy(_worker(site, self.host))


def _has_logged(site: Site, step: str, metric: str) -> bool:
    newest = next(iter(site.runs(step)), None)
    return newest is not None and newest.info.status == "RUNNING" and metric in newest.data.metrics


def _worker(site: Site, name: str) -> subprocess.Popen:
    return site.cluster.workers[int(name.removeprefix("worker-")) - 1]


def without_java(log: Path) -> str:
    """What a step said, without the frames of Java's traces."""
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("at "))


@dataclass(frozen=True)
class Ended:
    """How a step ended: its exit status, what it said, and how long it took, in seconds."""

    code: int
    said: str
    seconds: float


def run_and_cut(site: Site, network: Network, cut: Cut, **parameters: object) -> Ended:
    """Run a step, disconnect the host once it is time, and connect it again."""
    host = network.hosts[cut.host]
    log = site.home / f"{cut.step}-{os.urandom(3).hex()}.log"
    began, before = time.monotonic(), host.moved()
    process = site.start(cut.step, log, **cut.parameters, **parameters)
    while not cut.is_now(site, log, before):
        if process.poll() is not None or time.monotonic() - began > DEADLINE:
            process.kill()
            raise AssertionError(
                f"{cut.step} ended with {process.poll()} before {host.name} was cut, which "
                f"had moved {host.moved() - before} bytes:\n{without_java(log)}"
            )
        time.sleep(0.02)
    time.sleep(random.uniform(0, 0.5) * bool(cut.said or cut.logged or cut.at_work))
    network.disconnect(host)
    try:
        if math.isinf(cut.seconds):
            process.wait(timeout=DEADLINE)
        else:
            time.sleep(cut.seconds)
    finally:
        network.reconnect(host)
    try:
        code = process.wait(timeout=DEADLINE)
    finally:
        process.kill()
    return Ended(code, without_java(log), time.monotonic() - began)
