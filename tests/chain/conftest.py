"""A store, a lake and a profile of their own for a chain, and `mlflow run` as a user types it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from steps.settings.profile import PROJECT


@dataclass(frozen=True)
class Workshop:
    """Where one chain runs: everything it writes is below ``home``."""

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
        done = subprocess.run(
            self.command(entry_point, **parameters),
            cwd=self.home,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=1200,
        )
        print(done.stdout[-4000:], done.stderr[-8000:])
        return done

    def capture(self, folder: Path, count: int) -> None:
        """Let the simulated camera take pictures, one an hour."""
        subprocess.run(
            [sys.executable, "-m", "edge", "capture", "--to", str(folder)]
            + ["--count", str(count), "--period", "60"],
            cwd=PROJECT,
            check=True,
        )

    def runs(self, step: str) -> list[Run]:
        """The runs of a step, newest first."""
        return self.client.search_runs(
            ["0"], f"tags.step = '{step}'", order_by=["attributes.start_time DESC"]
        )


def make_workshop(home: Path, **promotion: float) -> Workshop:
    """A workshop with the local profile, its places moved below ``home``."""
    local = yaml.safe_load((PROJECT / "profiles" / "local.yaml").read_text(encoding="utf-8"))
    local |= {"lake": str(home / "lake"), "cache": str(home / "cache")}
    local["promotion"] |= promotion
    workshop = Workshop(home)
    workshop.profile.write_text(yaml.safe_dump(local), encoding="utf-8")
    return workshop


@pytest.fixture(scope="session")
def workshop_factory():
    return make_workshop
