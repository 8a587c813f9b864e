"""What the run of a step is called, and the tags and parameters that it carries from its start."""

import os
import re

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from steps.settings.parameters import StepParameters
from steps.settings.profile import Profile

MADE_UP = re.compile(r"[a-z]+-[a-z]+-\d{1,3}")
"""How MLflow names a run without a name, such as zealous-sloth-532."""


def run_name(step: str) -> str | None:
    """Return the name of a run that is started here; one that ``mlflow run`` started keeps its."""
    return None if os.environ.get("MLFLOW_RUN_ID") else step


def set_step_tags(step: str, profile: Profile, run: Run) -> None:
    """Tag the active run with step and profile, and replace a name that MLflow has made up."""
    named = {} if not MADE_UP.fullmatch(run.info.run_name or "") else {MLFLOW_RUN_NAME: step}
    mlflow.set_tags({"step": step, "profile": profile.name} | named)


def log_parameters(run_id: str, parameters: StepParameters) -> None:
    """Log the parameters that ``mlflow run`` has not logged: MLflow writes each once."""
    logged = MlflowClient().get_run(run_id).data.params
    mlflow.log_params({k: v for k, v in parameters.model_dump().items() if k not in logged})
