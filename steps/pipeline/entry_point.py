"""An entry point of this project that is run from another one."""

import logging
import os
import sys

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import ExecutionException

from steps.errors import UserError
from steps.pipeline.commands import resume_command
from steps.pipeline.runs import experiment_id, newest_nested
from steps.settings.parameters import StepParameters, given
from steps.settings.profile import PROJECT


def run_entry_point(step: str, parameters: StepParameters) -> Run:
    """Run a step as `mlflow run` does, nested in the active run; returns its finished run.

    Args:
        step: the entry point.
        parameters: of the step; those that are not as by default are passed.

    Raises:
        UserError: it failed; what is wrong it has told itself.
    """
    logging.getLogger("mlflow.projects").setLevel(logging.WARNING)
    # the entry point's `python` is the one that runs here
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    try:
        submitted = mlflow.projects.run(
            str(PROJECT),
            entry_point=step,
            parameters=given(parameters),
            experiment_id=experiment_id(),
            env_manager="local",
            run_name=step,
        )
    except KeyboardInterrupt:
        # MLflow marks as FAILED a step that it stopped before the step could say KILLED
        if stopped := newest_nested(step):
            mlflow.MlflowClient().set_terminated(stopped.info.run_id, "KILLED")
        raise
    except ExecutionException as error:
        raise UserError(f"{step} failed; mend it, and go on with: {resume_command()}") from error
    return mlflow.get_run(submitted.run_id)
