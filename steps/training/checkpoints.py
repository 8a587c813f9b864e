"""Checkpoints: the state of a training after each epoch, so that it can resume if interrupted."""

import io
import json
from dataclasses import asdict, dataclass

import fsspec
import numpy as np
from fsspec import AbstractFileSystem
from mlflow import MlflowClient

from edge.inference.region import OTHER_DEVICES
from steps.atomic import make_folder, write_atomically
from steps.dataset.cache_eviction import CHECKPOINTS
from steps.errors import RunAgain, UserError
from steps.pipeline.disk_space import require_space
from steps.pipeline.outputs import Selection
from steps.pipeline.runs import resumed_by
from steps.settings.profile import Profile
from steps.training.fit_result import Checkpoint, FitResult
from steps.training.plan import Plan

FROM_INGEST = ("table", "table_id", "version", "source", "labelled")
"""The values of a fingerprint that come from the ingest run, not from a parameter of train."""


@dataclass(frozen=True)
class TrainingFingerprint:
    """What a training was started with; one that resumes it has to have the same.

    Attributes:
        plan: how it trains.
        selection: on which images.
        processes: number of ranks.
    """

    plan: Plan
    selection: Selection
    processes: int

    def values(self) -> dict[str, object]:
        """Return each value by the name of its parameter, or by its name in the selection."""
        values = asdict(self.plan) | self.selection.content()
        values["region"] = ",".join(map(str, values["regions"].pop(OTHER_DEVICES, ())))
        return values | {"input_size": values["input_size"][0], "processes": self.processes}


def save_checkpoint(folder: str, fingerprint: TrainingFingerprint, checkpoint: Checkpoint) -> None:
    """Write a checkpoint into the folder of its run, and remove all older ones but one.

    Horovod loses what a rank raises, but for a :class:`UserError`: too little space is one.

    Args:
        folder: folder or URI; ranks on other machines write there too.
        fingerprint: stored with the checkpoint.
        checkpoint: the newest.
    """
    filesystem, path = fsspec.core.url_to_fs(folder)
    make_folder(folder)
    name = f"epoch-{len(checkpoint.result.epochs):04}.npz"
    content = _serialize(checkpoint, fingerprint)
    require_space(folder, len(content), "the checkpoints")
    write_atomically(f"{folder}/{name}", content)
    for older in _list_checkpoints(filesystem, path)[:-2]:
        filesystem.rm_file(older)


def checkpoint_folder(profile: Profile, run_id: str) -> str:
    """Return the folder of a run's checkpoints."""
    return f"{profile.cache}/{CHECKPOINTS}/{run_id}"


def remove_checkpoints(profile: Profile, run_id: str) -> None:
    """Remove the checkpoints of a run that is over, and of the runs that it resumed."""
    for filesystem, path in _folders(profile, run_id):
        if filesystem.exists(path):
            filesystem.rm(path, recursive=True)


def has_checkpoint(run_id: str, profile: Profile) -> bool:
    """Return whether a run, or one that it resumes, has a checkpoint."""
    return any(_list_checkpoints(*folder) for folder in _folders(profile, run_id))


def load_checkpoint(profile: Profile, run_id: str, fingerprint: TrainingFingerprint) -> Checkpoint:
    """Load the last checkpoint of an interrupted run, or of the run that it resumed.

    Args:
        profile: says where checkpoints are.
        run_id: the run.
        fingerprint: of the training that resumes it.

    Raises:
        UserError: there is no checkpoint, or its fingerprint differs.
    """
    for filesystem, path in _folders(profile, run_id):
        if names := _list_checkpoints(filesystem, path):
            break
    else:
        raise UserError(
            f"run {run_id} has no checkpoint: it finished, or it completed no epoch",
            RunAgain({"resume_run_id": ""}),
        )
    with np.load(io.BytesIO(filesystem.cat_file(names[-1])), allow_pickle=False) as arrays:
        record = json.loads(str(arrays["record"]))
        values = [arrays[f"arr_{number}"] for number in range(len(arrays.files) - 1)]
    now = json.loads(json.dumps(fingerprint.values()))
    for name, before in record["fingerprint"].items():
        if now.get(name) == before:
            continue
        if name in FROM_INGEST:
            ingested = MlflowClient().get_run(run_id).data.tags["input.ingest"]
            again = RunAgain({"ingest_run_id": ingested})
            raise UserError(f"run {run_id} trained on other images", again)
        raise UserError(
            f"run {run_id} trained with {name} {before}, not {now.get(name)}; pass its "
            "parameters again",
            RunAgain({name: str(before)} if name != "regions" else {}),  # they are the profile's
        )
    weights, variables = values[: record["weights"]], values[record["weights"] :]
    return Checkpoint(FitResult(weights, record["epochs"], record["best"]), variables)


def _serialize(checkpoint: Checkpoint, fingerprint: TrainingFingerprint) -> bytes:
    result = checkpoint.result
    record = {"fingerprint": fingerprint.values(), "epochs": result.epochs, "best": result.best}
    record["weights"] = len(result.weights)
    buffer = io.BytesIO()
    np.savez(buffer, *result.weights, *checkpoint.variables, record=json.dumps(record))
    return buffer.getvalue()


def _folders(profile: Profile, run_id: str) -> list[tuple[AbstractFileSystem, str]]:
    """Return the folders of a run and of the runs that it resumes, the last run first."""
    runs = (run_id, *resumed_by(run_id))
    return [fsspec.core.url_to_fs(checkpoint_folder(profile, one)) for one in runs]


def _list_checkpoints(filesystem: AbstractFileSystem, path: str) -> list[str]:
    return sorted(filesystem.glob(f"{path}/epoch-*.npz"))
