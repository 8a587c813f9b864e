"""What a finished run keeps among its artifacts: its record for the next step, and what tells later
whether it can stand for another."""

import json
from typing import Any, TypeVar

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from steps.errors import UserError
from steps.pipeline.cache_key import Parts
from steps.pipeline.outputs import Outputs

REPORT_FILE = "report.html"
OUTPUTS_FILE = "outputs.json"
KEY_FILE = "cache_key.json"
"""The parts of the cache key: they tell later why it does not fit."""
PROFILE_FILE = "profile.json"
"""The resolved profile, without the values of environment variables."""
SIZES_FILE = "files.json"
"""The sizes of the run's other artifacts: they tell later whether all are there still."""

Record = TypeVar("Record", bound=Outputs)


def keep(run_id: str, report: str, parts: Parts, profile: dict[str, Any], outputs: Outputs) -> None:
    """Leave all of them, ``outputs.json`` last: a run that has it is whole.

    Args:
        run_id: the active run.
        report: its page.
        parts: of its cache key.
        profile: as it may be shown.
        outputs: what came out.
    """
    mlflow.log_text(report, REPORT_FILE)
    mlflow.log_dict(parts, KEY_FILE)
    mlflow.log_dict(profile, PROFILE_FILE)
    mlflow.log_dict(kept_files(run_id), SIZES_FILE)
    mlflow.log_text(outputs.model_dump_json(indent=2), OUTPUTS_FILE)


def read_outputs(run_id: str, outputs: type[Record]) -> Record:
    """What came out of a run.

    Raises:
        UserError: the record is gone or damaged.
    """
    try:
        text = mlflow.artifacts.load_text(f"runs:/{run_id}/{OUTPUTS_FILE}")
        return outputs.model_validate_json(text)
    except (MlflowException, OSError, ValueError) as error:
        raise UserError(
            f"run {run_id} has no usable {OUTPUTS_FILE} ({type(error).__name__}); "
            "run its step again"
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


def missing_files_error(run_id: str) -> str | None:
    """Which of the files that a run left is gone or of another size; None where none is."""
    left = _read_json(run_id, SIZES_FILE)
    if left is None:
        return f"{SIZES_FILE} of run {run_id} is gone"
    now = kept_files(run_id)
    for path, size in left.items():
        if now.get(path) != size:
            how = "is of another size" if path in now else "is gone"
            return f"{path} of run {run_id} {how}"
    return None


def read_key_parts(run_id: str) -> Parts | None:
    """What a run's cache key was made of; None where the record is gone."""
    return _read_json(run_id, KEY_FILE)


def _read_json(run_id: str, name: str) -> dict[str, Any] | None:
    try:
        return json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{name}"))
    except (MlflowException, OSError, ValueError):
        return None
