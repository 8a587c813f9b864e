"""`mlflow run` on a cluster, as a user of it types it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from mlflow import MlflowClient
from mlflow.entities import Run
from places import HERE, Place
from services import PROJECT, Cluster

from steps.pipeline.outputs import Outputs
from steps.pipeline.run_files import read_outputs

EXPERIMENT = "vision"
PROFILE = Path(__file__).with_name("small.yaml")


@dataclass(frozen=True)
class Site:
    """The cluster, who works on it, and where."""

    cluster: Cluster
    home: Path
    place: Place = HERE

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.cluster.tracking_uri)

    def command(self, entry_point: str, **parameters: object) -> list[str]:
        given = {"profile": PROFILE, **parameters}
        flags = [word for key, value in given.items() for word in ("-P", f"{key}={value}")]
        chosen = ["--env-manager", "local", "--experiment-name", EXPERIMENT, "-e", entry_point]
        return ["mlflow", "run", str(PROJECT), *chosen, *flags]

    def start(self, entry_point: str, log: Path, **parameters: object) -> subprocess.Popen:
        """`mlflow run`, its output in a file."""
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
        with log.open("wb") as output:
            return subprocess.Popen(
                [*self.place.enter, *self.command(entry_point, **parameters)],
                cwd=self.home,
                env=os.environ | {"PATH": path},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def run(self, entry_point: str, **parameters: object) -> str:
        """The output of `mlflow run`, which has to succeed."""
        log = self.home / f"{entry_point}.log"
        process = self.start(entry_point, log, **parameters)
        code = process.wait(timeout=900)
        said = log.read_text(errors="replace")
        print("\n".join(line for line in said.splitlines() if not line.lstrip().startswith("at ")))
        assert code == 0
        return said

    def land(self, folder: str, count: int, *more: str) -> str:
        """Let the simulated camera take images, one an hour, and put them into the bucket."""
        here = self.home / folder
        taken = [sys.executable, "-m", "edge", "capture", "--to", str(here)]
        taken += ["--count", str(count), "--period", "60", *more]
        subprocess.run(taken, cwd=PROJECT, check=True)
        fsspec.filesystem("s3").put(f"{here}/", f"vision/{folder}/", recursive=True)
        return f"s3a://vision/{folder}"

    def runs(self, step: str) -> list[Run]:
        """The runs of a step, newest first."""
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:  # nothing has run yet
            return []
        return self.client.search_runs([experiment.experiment_id], f"tags.step = '{step}'")

    def outputs(self, step: str, record: type[Outputs]) -> Any:
        """What the newest run of a step left."""
        return read_outputs(self.runs(step)[0].info.run_id, record)
