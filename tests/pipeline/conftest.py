"""A store, a lake and a profile of their own for a pipeline, and `mlflow run` as a user does."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from steps.settings.profile import PROJECT

SECONDS = 240
"""Within which a command that is interrupted comes to something, and ends."""


@dataclass(frozen=True)
class Workshop:
    """Where one pipeline runs: everything it writes is below ``home``."""

    home: Path

    @property
    def store(self) -> str:
        return f"sqlite:///{self.home}/mlflow.db"

    @property
    def profile(self) -> Path:
        return self.home / "test.yaml"

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.store)

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
        return os.environ | {"MLFLOW_TRACKING_URI": self.store, "PATH": path}

    def command(self, entry_point: str, **parameters: object) -> list[str]:
        """`mlflow run <project> -e <entry point> -P …`."""
        given = {"profile": self.profile, **parameters}
        flags = [word for key, value in given.items() for word in ("-P", f"{key}={value}")]
        return ["mlflow", "run", str(PROJECT), "--env-manager", "local", "-e", entry_point, *flags]

    def mlflow_run(self, entry_point: str, **parameters: object) -> subprocess.CompletedProcess:
        """Run that command; its output is shown where it fails."""
        return self._run(self.command(entry_point, **parameters), self.home)

    def step(self, name: str, **parameters: object) -> subprocess.CompletedProcess:
        """Run an entry point without the seconds of `mlflow run`."""
        return self._run(self.step_command(name, **parameters), PROJECT)

    def step_command(self, name: str, **parameters: object) -> list[str]:
        """What MLproject names for an entry point, to be run in the project's folder."""
        given = {"profile": self.profile, **parameters}
        flags = [f"--{key}={value}" for key, value in given.items()]
        return [sys.executable, "-m", f"steps.{name}", *flags]

    def _run(self, command: list[str], folder: Path) -> subprocess.CompletedProcess:
        done = subprocess.run(
            command,
            cwd=folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=1200,
        )
        print(done.stdout[-4000:], done.stderr[-8000:])
        return done

    def interrupt(self, entry_point: str, when: Callable[[], bool], **parameters: object) -> str:
        """Run that command and press Ctrl-C once something is so; what it printed.

        What outlives it is an error: it is a session of its own.
        """
        log = self.home / "interrupted.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(entry_point, **parameters),
                cwd=self.home,
                env=self.environment(),
                stdout=output,
                stderr=output,
                start_new_session=True,  # a group that gets the signal as a terminal's does
            )
        try:
            deadline = time.monotonic() + SECONDS
            while not when() and time.monotonic() < deadline:
                assert process.poll() is None, f"it ended by itself: {log.read_text()}"
                time.sleep(0.2)
            os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        print(log.read_text())
        assert not _left_of(process.pid), "a process outlived it"
        return log.read_text()

    def capture(self, folder: Path, count: int) -> None:
        """Let the simulated camera take images, one an hour."""
        subprocess.run(
            [
                sys.executable,
                "-m",
                "edge",
                "capture",
                "--to",
                str(folder),
                "--count",
                str(count),
                "--period",
                "60",
            ],
            cwd=PROJECT,
            check=True,
        )

    def runs(self, step: str) -> list[Run]:
        """The runs of a step, newest first."""
        return self.client.search_runs(
            ["0"], f"tags.step = '{step}'", order_by=["attributes.start_time DESC"]
        )


def _left_of(session: int) -> list[str]:
    """The processes of a session once they had time to end, such as Spark's JVM."""
    deadline = time.monotonic() + SECONDS
    while True:
        found = [p for p in psutil.process_iter(["cmdline"]) if _session_of(p.pid) == session]
        if not found or time.monotonic() > deadline:
            return [" ".join(process.info["cmdline"] or [])[:300] for process in found]
        time.sleep(0.5)


def _session_of(process: int) -> int | None:
    try:
        return os.getsid(process)
    except ProcessLookupError:
        return None


def make_workshop(home: Path, **promotion: float) -> Workshop:
    """A workshop with the local profile, its places moved below ``home``."""
    local = yaml.safe_load((PROJECT / "profiles" / "local.yaml").read_text(encoding="utf-8"))
    local |= {"lake": str(home / "lake"), "cache": str(home / "cache")}
    local["release"]["key_file"] = str(home / "release.pem")
    local["promotion"] |= promotion
    workshop = Workshop(home)
    workshop.profile.write_text(yaml.safe_dump(local), encoding="utf-8")
    return workshop


@pytest.fixture(scope="session")
def workshop_factory():
    return make_workshop
