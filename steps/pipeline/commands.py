"""The commands that a step names: they run in the same place, with the parameters as typed."""

import shlex
from dataclasses import dataclass, field

from steps.errors import RUN, RunStep, UserError
from steps.settings.parameters import StepParameters

DEFAULT_EXPERIMENT = "Default"


@dataclass
class Commands:
    """The commands that a running step names.

    Each one names the profile, the experiment unless it is MLflow's default, and
    ``--env-manager local`` unless MLflow made this Python's environment.

    Attributes:
        step: the entry point.
        parameters: as they were typed.
        experiment: the name of the experiment of the step's run.
        to_resume: the parameters that :meth:`resume` changes from now on; none: it runs again.

    Example::

        mlflow run . --env-manager local -e train -P epochs=40
    """

    step: str = "main"
    parameters: StepParameters = field(default_factory=StepParameters)
    experiment: str = DEFAULT_EXPERIMENT
    to_resume: dict[str, str] = field(default_factory=dict)

    def rerun(self, **changed: str) -> str:
        """Return the command of this step as it was typed.

        Args:
            changed: parameters that replace the given ones; an empty one is left out.
        """
        return self._command(self.step, self.parameters.non_default() | changed)

    def resume(self) -> str:
        """Return the command that resumes this step if it fails or is stopped now."""
        return self.rerun(**self.to_resume)

    def next(self, step: str, **parameters: str) -> str:
        """Return the command of another step, in this experiment and by this profile.

        Args:
            step: the entry point.
            parameters: of that step; an empty one is left out.
        """
        own = self.parameters
        place = StepParameters(profile=own.profile, override=own.override, model=own.model)
        return self._command(step, place.non_default() | parameters)

    def add_to(self, error: UserError) -> None:
        """Give an error the command that fixes it, unless it has one or needs none."""
        if error.fix is None or error.command:
            return
        if isinstance(error.fix, RunStep):
            error.command = self.next(error.fix.step, **error.fix.parameters)
        elif error.fix.changed:
            error.command = self.rerun(**error.fix.changed)
        else:
            error.command = self.resume()

    def _command(self, step: str, parameters: dict[str, str]) -> str:
        words = RUN.split()
        if self.experiment != DEFAULT_EXPERIMENT:
            words += ["--experiment-name", self.experiment]
        if step != "main":
            words += ["-e", step]
        for name, value in parameters.items():
            if value:
                words += ["-P", f"{name}={value}"]
        return shlex.join(words)
