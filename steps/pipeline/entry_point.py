"""Run an entry point of this project from another one."""

import os
import sys

import mlflow
from mlflow.entities import Run

from steps.pipeline.runs import experiment_id, newest_nested
from steps.settings.parameters import StepParameters
from steps.settings.profile import PROJECT


def run_entry_point(step: str, parameters: StepParameters) -> Run:
    """Run a step as `mlflow run` does, nested in the active run, and return its finished run.

    Args:
        step: the entry point.
        parameters: of the step; those that differ from their defaults are passed.

    Raises:
        ExecutionException: it failed; its own output and its run name the reason.
    """
    # so that the entry point's `python` is this one
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    try:
        submitted = mlflow.projects.run(
            str(PROJECT),
            entry_point=step,
            parameters=parameters.non_default(),
            experiment_id=experiment_id(),
            env_manager="local",
            run_name=step,
        )
    except KeyboardInterrupt:
        # MLflow marks a step as FAILED that it stopped before the step could set KILLED
        if stopped := newest_nested(step):
            mlflow.MlflowClient().set_terminated(stopped.info.run_id, "KILLED")
        raise
    return mlflow.get_run(submitted.run_id)
