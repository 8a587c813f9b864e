"""An ingest as a process of its own, which can be killed with all its children."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from steps.settings.profile import PROJECT

PAUSE = 0.02
"""Seconds between two checks of a process."""


@dataclass(frozen=True)
class Place:
    """A landing zone with a lake, a profile and a tracking store of their own."""

    home: Path
    store: str

    @property
    def zone(self) -> Path:
        return self.home / "landing zone"

    @property
    def lake(self) -> Path:
        return self.home / "lake"

    def start(self, said: str, *arguments: str) -> subprocess.Popen:
        """`python -m steps.ingest`, leader of a session that its Spark and workers belong to.

        What it says goes into the file ``said``: nobody drains a pipe while it runs.
        """
        profile = self.home / "test.yaml"
        given = ["--profile", str(profile), "--source", str(self.zone), *arguments]
        with open(self.home / said, "w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "steps.ingest", *given],
                cwd=PROJECT,
                env=os.environ | {"MLFLOW_TRACKING_URI": self.store},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def said(self, name: str) -> str:
        """What an ingest said."""
        return (self.home / name).read_text()


def make_place(home: Path, store: str) -> Place:
    """An empty landing zone, and the local profile with its places moved below ``home``."""
    local = yaml.safe_load((PROJECT / "profiles" / "local.yaml").read_text(encoding="utf-8"))
    local |= {"lake": str(home / "lake"), "cache": str(home / "cache")}
    local["spark"] = {"master": "local[2]", "config": {"spark.driver.memory": "1g"}}
    (home / "test.yaml").write_text(yaml.safe_dump(local), encoding="utf-8")
    place = Place(home, store)
    place.zone.mkdir()
    return place


def kill(leader: subprocess.Popen) -> int:
    """SIGKILL the whole session; returns how many processes it was, once none runs any more.

    Spark's Python workers have a process group of their own, so the leader's is not all.
    """
    killed = set()
    while members := session_of(leader.pid):
        for group in {_group(member) for member in members} - {None}:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        killed |= {member.pid for member in members}
        time.sleep(PAUSE)
    leader.wait()
    return len(killed)


def wait_until(happened: Callable[[], bool], leader: subprocess.Popen) -> bool:
    """Whether it happened while the process ran."""
    while not happened():
        if leader.poll() is not None:
            return False
        time.sleep(PAUSE)
    return True


def session_of(leader: int) -> list[psutil.Process]:
    """The processes of a session that still run."""
    return [
        process
        for process in psutil.process_iter()
        if _session(process.pid) == leader and _still_runs(process)
    ]


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def _still_runs(process: psutil.Process) -> bool:
    try:
        # one whose parent is gone may stay a zombie, where the first process reaps none
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
