"""A step's inputs: which run is meant, and what it left."""

import json
from typing import TypeVar

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from steps.errors import UserError
from steps.tracking.cache_key import KEY_FILE, Parts
from steps.tracking.outputs import Outputs

LATEST = "latest"
FILES = "files.json"
"""The sizes of a run's other artifacts: they tell later whether all are there still."""
Record = TypeVar("Record", bound=Outputs)


def resolve_input(step: str, wanted: str) -> str:
    """The ID of the run that a parameter ``<step>_run_id`` means.

    Args:
        step: the step that made it.
        wanted: a run ID, or ``latest`` for the newest finished run of the step in the
            experiment.

    Raises:
        UserError: there is no such run, it is of another step, or it did not finish.
    """
    if wanted == LATEST:
        runs = finished_runs(step, count=1)
        if not runs:
            raise UserError(f"no finished run of {step} to go on from; run: mlflow run . -e {step}")
        return runs[0].info.run_id
    try:
        run = MlflowClient().get_run(wanted)
    except MlflowException as error:
        raise UserError(
            f"there is no run {wanted!r}; pass -P {step}_run_id=<ID of a run of {step}> or latest"
        ) from error
    if run.info.lifecycle_stage == "deleted":
        raise UserError(
            f"run {wanted} was deleted; pass -P {step}_run_id=latest, or restore it: "
            f"mlflow runs restore --run-id {wanted}"
        )
    made_by = run.data.tags.get("step")
    if made_by != step:
        raise UserError(
            f"run {wanted} is of {made_by or 'no step of this project'}, not of {step}; "
            f"pass -P {step}_run_id=<ID of a run of {step}> or latest"
        )
    if run.info.status != "FINISHED":
        raise UserError(
            f"run {wanted} of {step} did not finish ({run.info.status}); "
            f"run: mlflow run . -e {step}"
        )
    return wanted


def finished_runs(step: str, count: int, cache_key: str | None = None) -> list[Run]:
    """The newest finished runs of a step in the experiment of the active run, newest first."""
    condition = f"tags.step = '{step}' and attributes.status = 'FINISHED'"
    if cache_key:
        condition += f" and tags.cache_key = '{cache_key}'"
    return MlflowClient().search_runs(
        [experiment_id()], condition, max_results=count, order_by=["attributes.start_time DESC"]
    )


def newest_nested(step: str) -> Run | None:
    """The newest run of a step below the active run, however it ended."""
    run = active_run()
    below = f"tags.step = '{step}' and tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    found = MlflowClient().search_runs([run.info.experiment_id], below, max_results=1)
    return found[0] if found else None


def experiment_id() -> str:
    """The experiment of the active run."""
    return active_run().info.experiment_id


def active_run() -> Run:
    """The active run, in code that a step calls and where there is one."""
    run = mlflow.active_run()
    if run is None:
        raise RuntimeError("no run is active")
    return run


def read_outputs(run_id: str, outputs: type[Record]) -> Record:
    """The ``outputs.json`` of a run.

    Raises:
        UserError: the record is gone or damaged.
    """
    try:
        text = mlflow.artifacts.load_text(f"runs:/{run_id}/outputs.json")
        return outputs.model_validate_json(text)
    except (MlflowException, OSError, ValueError) as error:
        raise UserError(
            f"run {run_id} has no usable outputs.json ({type(error).__name__}); run its step again"
        ) from error


def kept_files(run_id: str) -> dict[str, int]:
    """The sizes in bytes of the files that a run keeps as artifacts, by path."""
    client = MlflowClient()
    files, folders = {}, [""]
    while folders:
        for file in client.list_artifacts(run_id, folders.pop()):
            if file.is_dir:
                folders.append(file.path)
            else:
                files[file.path] = file.file_size
    return files


def lost_files(run_id: str) -> str | None:
    """Which of the files that a run left is gone or of another size; None where none is."""
    try:
        left = json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{FILES}"))
    except (MlflowException, OSError, ValueError):
        return f"{FILES} of run {run_id} is gone"
    now = kept_files(run_id)
    for path, size in left.items():
        if now.get(path) != size:
            how = "is of another size" if path in now else "is gone"
            return f"{path} of run {run_id} {how}"
    return None


def read_key_parts(run_id: str) -> Parts | None:
    """What a run's cache key was made of; None where the record is gone."""
    try:
        return json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{KEY_FILE}"))
    except (MlflowException, OSError, ValueError):
        return None
