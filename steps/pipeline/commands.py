"""The commands that a step tells: they go on in the same place, with what was typed."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from steps.errors import RUN
from steps.settings.parameters import StepParameters, given

DEFAULT_EXPERIMENT = "Default"


@dataclass
class UnderWay:
    """A step that runs here.

    Attributes:
        step: the entry point.
        parameters: as they were typed.
        experiment: the name of the one that its run is in.
        onward: the command that goes on where it ends badly; empty: as it was typed.
    """

    step: str = "main"
    parameters: StepParameters = field(default_factory=StepParameters)
    experiment: str = DEFAULT_EXPERIMENT
    onward: str = ""


_under_way = [UnderWay()]


@contextmanager
def under_way(step: str, parameters: StepParameters) -> Iterator[UnderWay]:
    """Around a step's work: what it tells the user to type goes on from it.

    Args:
        step: the entry point.
        parameters: as they were typed.
    """
    now = UnderWay(step, parameters)
    _under_way.append(now)
    try:
        yield now
    finally:
        _under_way.pop()


def rerun_command(**changed: str) -> str:
    """The command of the step that is under way, as it was typed.

    Args:
        changed: parameters that take the place of the given ones.
    """
    now = _under_way[-1]
    return command(now.step, now.parameters, now.experiment, **changed)


def go_on_with(command: str) -> None:
    """Say how to go on from the step that is under way, should it end badly: not from its start."""
    _under_way[-1].onward = command


def resume_command() -> str:
    """The command that goes on from the step that is under way, where it ended badly."""
    return _under_way[-1].onward or rerun_command()


def next_command(step: str, **given: str) -> str:
    """The command of another step, in the experiment and by the profile of the one under way.

    Args:
        step: the entry point.
        given: what it is told.
    """
    now = _under_way[-1]
    place = StepParameters(profile=now.parameters.profile, override=now.parameters.override)
    return command(step, place, now.experiment, **given)


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
