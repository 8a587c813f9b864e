"""Run an entry point of this project from another one."""

import logging
import os
import sys
import traceback

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import ExecutionException

from steps.environment import NESTED, environment_kept
from steps.errors import UserError
from steps.pipeline.runs import experiment_id, newest_nested
from steps.pipeline.step import Step
from steps.settings.parameters import StepParameters
from steps.settings.profile import PROJECT

logger = logging.getLogger("steps")


def run_entry_point(step: Step, parameters: StepParameters) -> Run:
    """Run a step nested in the active run, and return its finished run.

    Args:
        step: runs in this process.
        parameters: of the step.

    Raises:
        ExecutionException: it failed; its own output and its run name the reason.
    """
    with environment_kept():
        os.environ[NESTED] = "true"
        run_id = _run_here(step, parameters)
    return mlflow.get_run(run_id)


def _run_here(step: Step, parameters: StepParameters) -> str:
    try:
        return step.run_nested(parameters)
    except Exception as error:
        if isinstance(error, UserError):
            logger.error("%s: %s", step.name, error)
        else:
            traceback.print_exception(error)
        raise ExecutionException(f"{step.name} failed") from error


def run_apart(entry_point: str, parameters: dict[str, str]) -> str:
    """Run an entry point as `mlflow run` does, with these parameters; return its run's ID."""
    # so that the entry point's `python` is this one
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    try:
        submitted = mlflow.projects.run(
            str(PROJECT),
            entry_point=entry_point,
            parameters=parameters,
            experiment_id=experiment_id(),
            env_manager="local",
            run_name=entry_point,
        )
    except KeyboardInterrupt:
        # MLflow marks a step as FAILED that it stopped before the step could set KILLED
        if stopped := newest_nested(entry_point):
            mlflow.MlflowClient().set_terminated(stopped.info.run_id, "KILLED")
        raise
    return str(submitted.run_id)
