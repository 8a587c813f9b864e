"""The files of a finished run: its outputs for the next step, and what a later run compares."""

from collections.abc import Callable
from typing import Any, TypeVar

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from steps.errors import UserError
from steps.pipeline.cache_key import Parts
from steps.pipeline.outputs import Outputs
from steps.pipeline.report import Report

REPORT_FILE = "report.html"
OUTPUTS_FILE = "outputs.json"
KEY_FILE = "cache_key.json"
"""The parts of the cache key: they show later what differs."""
PROFILE_FILE = "profile.json"
"""The resolved profile, without the values of environment variables."""
SIZES_FILE = "files.json"
"""The sizes of the run's other artifacts: they show later whether one is missing."""

AnyOutputs = TypeVar("AnyOutputs", bound=Outputs)


def log_run_files(report: Report, parts: Parts, profile: dict[str, Any], outputs: Outputs) -> None:
    """Log all of them to the active run, ``outputs.json`` last: a run that has it is complete.

    Args:
        report: of the run.
        parts: of its cache key.
        profile: as it may be shown.
        outputs: of the step.
    """
    mlflow.log_text(report.html(), REPORT_FILE)
    mlflow.log_dict(parts, KEY_FILE)
    mlflow.log_dict(profile, PROFILE_FILE)
    mlflow.log_dict(_artifact_sizes(report.run_id), SIZES_FILE)
    mlflow.log_text(outputs.model_dump_json(indent=2), OUTPUTS_FILE)


def read_outputs(run_id: str, outputs: type[AnyOutputs]) -> AnyOutputs:
    """Return what the file ``outputs.json`` of a run holds.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        text = mlflow.artifacts.load_text(f"runs:/{run_id}/{OUTPUTS_FILE}")
        return outputs.model_validate_json(text)
    except (MlflowException, OSError, ValueError) as error:
        raise UserError(
            f"run {run_id} has no usable {OUTPUTS_FILE} ({type(error).__name__}); "
            "run its step again"
        ) from error


def _artifact_sizes(run_id: str) -> dict[str, int]:
    """Return the sizes in bytes of a run's artifacts, by path."""
    client = MlflowClient()
    files: dict[str, int] = {}
    folders = [""]
    while folders:
        for file in client.list_artifacts(run_id, folders.pop()):
            if file.is_dir:
                folders.append(file.path)
            else:
                files[file.path] = file.file_size
    return files


def missing_files_error(run_id: str) -> str | None:
    """Return which artifact of a run is missing or has another size; None if all are intact."""
    logged = _read_dict(run_id, SIZES_FILE)
    if logged is None:
        return f"{SIZES_FILE} of run {run_id} is gone"
    now = _artifact_sizes(run_id)
    for path, size in logged.items():
        if now.get(path) != size:
            how = "is of another size" if path in now else "is gone"
            return f"{path} of run {run_id} {how}"
    return None


def change_report(run_id: str, change: Callable[[str], str]) -> bool:
    """Change a run's report, and note its new size; return whether there was anything to change."""
    client = MlflowClient()
    try:
        before = mlflow.artifacts.load_text(f"runs:/{run_id}/{REPORT_FILE}")
    except (MlflowException, OSError):
        return False
    after = change(before)
    if after == before:
        return False
    client.log_text(run_id, after, REPORT_FILE)
    if sizes := _read_dict(run_id, SIZES_FILE):
        client.log_dict(run_id, sizes | {REPORT_FILE: len(after.encode())}, SIZES_FILE)
    return True


def read_key_parts(run_id: str) -> Parts | None:
    """Read a run's file with the parts of its cache key; None if it is missing."""
    return _read_dict(run_id, KEY_FILE)


def _read_dict(run_id: str, name: str) -> dict[str, Any] | None:
    try:
        values: dict[str, Any] = mlflow.artifacts.load_dict(f"runs:/{run_id}/{name}")
    except (MlflowException, OSError):
        return None
    return values
