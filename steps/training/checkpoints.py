"""Checkpoints: a training after each of its epochs, so that one that was cut off can go on."""

import io
import json
from dataclasses import asdict, dataclass

import fsspec
import numpy as np

from steps.atomic import write_atomically
from steps.dataset.cache_eviction import CHECKPOINTS
from steps.errors import RunAgain, UserError
from steps.pipeline.outputs import Selection
from steps.settings.profile import Profile
from steps.training.fit_result import Checkpoint, FitResult
from steps.training.plan import Plan

OF_INGEST = ("table", "table_id", "version", "source")
"""What of a setting is no parameter of train, but comes from its run of ingest."""


@dataclass(frozen=True)
class TrainingFingerprint:
    """What a training was started with; one that goes on from it has to have the same.

    Attributes:
        plan: how it trains.
        selection: on which images.
        processes: number of ranks.
    """

    plan: Plan
    selection: Selection
    processes: int

    def values(self) -> dict[str, object]:
        """Each value by the name of its parameter; those of the ingest run by their own."""
        selection = self.selection.model_dump(mode="json")
        return {
            **asdict(self.plan),
            **selection,
            "input_size": selection["input_size"][0],
            "processes": self.processes,
        }


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a run: a folder of its own below the profile's cache.

    Attributes:
        folder: folder or URI; ranks on other machines write there too.
        setting: kept with each checkpoint.
    """

    folder: str
    setting: TrainingFingerprint

    def keep(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint whole, under its own name last; older ones but one are removed."""
        filesystem, path = fsspec.core.url_to_fs(self.folder)
        filesystem.makedirs(path, exist_ok=True)
        name = f"epoch-{len(checkpoint.fitted.epochs):04}.npz"
        write_atomically(f"{self.folder}/{name}", _packed(checkpoint, self.setting))
        for older in _names(filesystem, path)[:-2]:
            filesystem.rm_file(older)


def folder_of(profile: Profile, run_id: str) -> str:
    """Where a run's checkpoints are."""
    return f"{profile.cache}/{CHECKPOINTS}/{run_id}"


def folders_of(profile: Profile, run_id: str) -> list[str]:
    """Where those of a run are, and of the runs that it goes on from, the last one first."""
    # not above: the ranks, which keep checkpoints, need no MLflow
    from steps.pipeline.runs import resumed_by

    return [folder_of(profile, one) for one in (run_id, *resumed_by(run_id))]


def remove_checkpoints(folder: str) -> None:
    """Remove a run's checkpoints: its training is over, or another run's that went on from it."""
    filesystem, path = fsspec.core.url_to_fs(folder)
    if filesystem.exists(path):
        filesystem.rm(path, recursive=True)


def has_checkpoint(folder: str) -> bool:
    """Whether an epoch was kept there."""
    return bool(_names(*fsspec.core.url_to_fs(folder)))


def last_checkpoint(profile: Profile, run_id: str, setting: TrainingFingerprint) -> Checkpoint:
    """The last checkpoint of a run that was cut off, or of the one that it went on from.

    Args:
        profile: says where checkpoints are.
        run_id: the run.
        setting: of the training that goes on.

    Raises:
        UserError: there is none, or it is of a training with another setting.
    """
    from mlflow import MlflowClient

    for folder in folders_of(profile, run_id):
        filesystem, path = fsspec.core.url_to_fs(folder)
        if names := _names(filesystem, path):
            break
    else:
        raise UserError(
            f"run {run_id} has no checkpoint (it came to its end, or to none of its epochs')",
            RunAgain({"resume_run_id": ""}),
        )
    with np.load(io.BytesIO(filesystem.cat_file(names[-1])), allow_pickle=False) as arrays:
        record = json.loads(str(arrays["record"]))
        groups = {
            name: [arrays[f"{name}{n}"] for n in range(record[name])]
            for name in ("weights", "variables")
        }
    now = json.loads(json.dumps(setting.values()))
    for name, before in record["setting"].items():
        if now.get(name) == before:
            continue
        if name in OF_INGEST:
            ingested = MlflowClient().get_run(run_id).data.tags["input.ingest"]
            raise UserError(
                f"run {run_id} trained on other images",
                RunAgain({"ingest_run_id": ingested}),
            )
        raise UserError(
            f"run {run_id} trained with {name} {before}, not {now.get(name)}; pass its "
            "parameters again",
            RunAgain({name: str(before)}),
        )
    fitted = FitResult(groups["weights"], record["epochs"], record["best"])
    return Checkpoint(fitted, groups["variables"])


def _packed(checkpoint: Checkpoint, setting: TrainingFingerprint) -> bytes:
    fitted = checkpoint.fitted
    record = {
        "setting": setting.values(),
        "epochs": fitted.epochs,
        "best": fitted.best,
        "weights": len(fitted.weights),
        "variables": len(checkpoint.variables),
    }
    buffer = io.BytesIO()
    np.savez(
        buffer,
        record=json.dumps(record),
        **{f"weights{n}": array for n, array in enumerate(fitted.weights)},
        **{f"variables{n}": array for n, array in enumerate(checkpoint.variables)},
    )
    return buffer.getvalue()


def _names(filesystem, path: str) -> list[str]:
    return sorted(filesystem.glob(f"{path}/epoch-*.npz"))
