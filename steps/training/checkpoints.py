"""Checkpoints: the state of a training after each epoch, so that it can resume if interrupted."""

import io
import json
from dataclasses import asdict, dataclass

import fsspec
import numpy as np
from fsspec import AbstractFileSystem
from mlflow import MlflowClient

from steps.atomic import write_atomically
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
    filesystem.makedirs(path, exist_ok=True)
    name = f"epoch-{len(checkpoint.result.epochs):04}.npz"
    content = _serialize(checkpoint, fingerprint)
    require_space(folder, len(content), "the checkpoints")
    write_atomically(f"{folder}/{name}", content)
    for older in _list_checkpoints(filesystem, path)[:-2]:
        filesystem.rm_file(older)


def checkpoint_folder(profile: Profile, run_id: str) -> str:
    """Return the folder of a run's checkpoints."""
    return f"{profile.cache}/{CHECKPOINTS}/{run_id}"


def checkpoint_folders(profile: Profile, run_id: str) -> list[str]:
    """Return the folders of a run and of the runs that it resumes, the last run first."""
    return [checkpoint_folder(profile, one) for one in (run_id, *resumed_by(run_id))]


def remove_checkpoints(profile: Profile, run_id: str) -> None:
    """Remove the checkpoints of a run that is over, and of the runs that it resumed."""
    for folder in checkpoint_folders(profile, run_id):
        filesystem, path = fsspec.core.url_to_fs(folder)
        if filesystem.exists(path):
            filesystem.rm(path, recursive=True)


def has_checkpoint(folder: str) -> bool:
    """Return whether a folder holds a checkpoint."""
    return bool(_list_checkpoints(*fsspec.core.url_to_fs(folder)))


def load_checkpoint(profile: Profile, run_id: str, fingerprint: TrainingFingerprint) -> Checkpoint:
    """Load the last checkpoint of an interrupted run, or of the run that it resumed.

    Args:
        profile: says where checkpoints are.
        run_id: the run.
        fingerprint: of the training that resumes it.

    Raises:
        UserError: there is no checkpoint, or its fingerprint differs.
    """
    for folder in checkpoint_folders(profile, run_id):
        filesystem, path = fsspec.core.url_to_fs(folder)
        if names := _list_checkpoints(filesystem, path):
            break
    else:
        raise UserError(
            f"run {run_id} has no checkpoint: it finished, or it completed no epoch",
            RunAgain({"resume_run_id": ""}),
        )
    with np.load(io.BytesIO(filesystem.cat_file(names[-1])), allow_pickle=False) as arrays:
        record = json.loads(str(arrays["record"]))
        groups = {
            name: [arrays[f"{name}{n}"] for n in range(record[name])]
            for name in ("weights", "variables")
        }
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
            RunAgain({name: str(before)}),
        )
    result = FitResult(groups["weights"], record["epochs"], record["best"])
    return Checkpoint(result, groups["variables"])


def _serialize(checkpoint: Checkpoint, fingerprint: TrainingFingerprint) -> bytes:
    result = checkpoint.result
    groups = {"weights": result.weights, "variables": checkpoint.variables}
    record = {"fingerprint": fingerprint.values(), "epochs": result.epochs, "best": result.best}
    record |= {name: len(arrays) for name, arrays in groups.items()}
    named = {f"{name}{n}": a for name, arrays in groups.items() for n, a in enumerate(arrays)}
    buffer = io.BytesIO()
    np.savez(buffer, record=json.dumps(record), **named)
    return buffer.getvalue()


def _list_checkpoints(filesystem: AbstractFileSystem, path: str) -> list[str]:
    return sorted(filesystem.glob(f"{path}/epoch-*.npz"))
