"""The command that goes on from a step, whether it ended well, failed or was stopped."""

import shlex

import mlflow

from steps.errors import RUN
from steps.settings.parameters import StepParameters, given
from steps.tracking.runs import experiment_id

DEFAULT_EXPERIMENT = "Default"


def command(
    step: str, parameters: StepParameters, experiment: str = DEFAULT_EXPERIMENT, **changed: str
) -> str:
    """`mlflow run` with the parameters as they were typed.

    It names the experiment where that is not MLflow's default, and `--env-manager local` where
    this Python is the project's own.

    Args:
        step: the entry point.
        parameters: of the step.
        experiment: the name of the one that the run is in.
        changed: parameters that take the place of the given ones; an empty one is left out.

    Example::

        mlflow run . --env-manager local -e train -P epochs=40
    """
    words = RUN.split()
    if experiment != DEFAULT_EXPERIMENT:
        words += ["--experiment-name", experiment]
    if step != "main":
        words += ["-e", step]
    for name, value in (given(parameters) | changed).items():
        if value:
            words += ["-P", f"{name}={value}"]
    return shlex.join(words)


def following(step: str, before: StepParameters, **given: str) -> str:
    """The command of a step that goes on from the active run, in the same place as it.

    Args:
        step: the entry point that follows.
        before: the parameters of the active run's step, whose profile is kept.
        given: what the step is told.
    """
    return again(step, StepParameters(profile=before.profile, override=before.override), **given)


def again(step: str, parameters: StepParameters, **changed: str) -> str:
    """The command of a step in the same place as the active run.

    Args:
        step: the entry point.
        parameters: as they were typed.
        changed: those that take the place of the given ones.
    """
    return command(step, parameters, mlflow.get_experiment(experiment_id()).name, **changed)
