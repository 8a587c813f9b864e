"""Errors that a user causes and can fix."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from steps.endings import Result


def run_command(prefix: str) -> str:
    """Return how a step is run as this one was; ``-e <step> -P …`` follows.

    Args:
        prefix: the folder of the Python environment. MLflow names those that it makes by a hash.
    """
    made = re.fullmatch(r"mlflow(-[0-9a-f]{40}){1,2}", Path(prefix).name)
    return "mlflow run ." if made else "mlflow run . --env-manager local"


RUN = run_command(sys.prefix)


@dataclass(frozen=True)
class RunStep:
    """A fix: run a step.

    Attributes:
        step: the entry point.
        parameters: what it is given; an empty one is left out.
    """

    step: str
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunAgain:
    """A fix: run the step that failed again, or resume it if it can be resumed.

    Attributes:
        changed: parameters that replace the given ones; an empty one is left out.
    """

    changed: dict[str, str] = field(default_factory=dict)


class UserError(Exception):
    """A mistake of input or set-up in one line: what is wrong, and what to type next.

    A step that fails with it prints the line without a stack trace (``--debug`` shows it),
    exits with status 1, and ends its run as FAILED with the line as the tag ``failure``.

    Args:
        message: what is wrong and what is needed.
        fix: what to run next. The step that fails turns it into :attr:`command`, since only the
            step knows the profile, the experiment and the parameters.
        result: the tag ``result`` of the run.
    """

    def __init__(
        self, message: str, fix: RunStep | RunAgain | None = None, result: Result = Result.FAILED
    ):
        super().__init__(message)
        self.fix = fix
        self.result = result
        self.command = ""

    def __str__(self) -> str:
        return f"{super().__str__()}; run: {self.command}" if self.command else super().__str__()

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of the trace."""
        return [f"UserError: {self}"]


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, its cause, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
