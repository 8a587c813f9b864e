"""The command that goes on from a step that failed or was stopped."""

import shlex
import sys

from steps.settings.parameters import StepParameters, given
from steps.settings.profile import PROJECT

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
    words = ["mlflow", "run", "."]
    if sys.prefix.startswith(str(PROJECT)):
        words += ["--env-manager", "local"]
    if experiment != DEFAULT_EXPERIMENT:
        words += ["--experiment-name", experiment]
    if step != "main":
        words += ["-e", step]
    for name, value in (given(parameters) | changed).items():
        if value:
            words += ["-P", f"{name}={value}"]
    return shlex.join(words)
