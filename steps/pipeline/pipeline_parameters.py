"""The parameters of the pipeline: which steps its own ask for, and those of its steps, under the
names of the steps."""

import re
from collections.abc import Container
from typing import Any, NamedTuple

from pydantic import BaseModel

from steps.errors import UserError
from steps.pipeline.runs import LATEST
from steps.pipeline.step import Step
from steps.settings.parameters import input_step

HINT = re.compile(r"(?<=-P )\w+")


ALONE = ("trigger", "widen")
"""Parameters that a step has only by itself: the pipeline lists a landing zone once, and no devices
report on a canary meanwhile."""


def step_fields(steps: tuple[Step, ...], own: type[BaseModel]) -> dict[str, tuple[Any, Any]]:
    """Return the fields that the steps add to the pipeline's own; run IDs follow from the runs.

    Args:
        steps: of the pipeline.
        own: the parameters of the pipeline itself; those of a step with the same name are one.
    """
    return {
        f"{step.name}_{name}": (field.annotation, field)
        for step in steps
        for name, field in step.parameters.model_fields.items()
        if name not in (*own.model_fields, *ALONE) and input_step(name) is None
    }


def pipeline_name(step: Step, name: str, known: Container[str]) -> str:
    """Return the pipeline's name of a step's parameter: ``tune_trials``, or the shared one."""
    return prefixed if (prefixed := f"{step.name}_{name}") in known else name


def parameters_of(step: Step, parameters: BaseModel, runs: dict[str, str]) -> Any:
    """Return a step's parameters, as they follow from the pipeline's and from earlier runs.

    Args:
        step: which step.
        parameters: of the pipeline.
        runs: run ID by step; an input without a run is the latest.
    """
    values, known = {}, type(parameters).model_fields
    for name in step.parameters.model_fields:
        made_by = input_step(name)
        if made_by in step.parameters.input_names():
            values[name] = runs.get(made_by, LATEST)
        elif made_by is None and name not in ALONE:
            values[name] = getattr(parameters, pipeline_name(step, name, known))
    return step.parameters(**values)


def rename_hints(message: str, step: Step, known: Container[str]) -> str:
    """Return what a step says with ``-P`` before the pipeline's names of its parameters."""
    return HINT.sub(lambda hint: pipeline_name(step, hint[0], known), message)


class PipelineRequest(NamedTuple):
    """What ``from``, ``force`` and ``until`` ask for.

    Attributes:
        names: the steps up to and including ``until``, in their order.
        start: the step of ``from``; empty: the first.
        forced: the steps of ``force``: they run, and resume no interrupted run.
    """

    names: tuple[str, ...]
    start: str
    forced: frozenset[str]

    @classmethod
    def parse(cls, parameters: Any, names: tuple[str, ...]) -> "PipelineRequest":
        """Read the parameters ``from``, ``force`` (names with commas between) and ``until``.

        Args:
            parameters: of the pipeline; an empty ``until`` means the last of all steps.
            names: all steps of the pipeline.

        Raises:
            UserError: a name is not that of a step, or nothing would run.
        """
        start, until = getattr(parameters, "from"), parameters.until
        forced = frozenset(parameters.force.replace(" ", "").split(",")) - {""}
        for name in {start, until, *forced} - {""}:
            if name not in names:
                known = " ".join(names)
                raise UserError(f"{name!r} is not a step of the pipeline; pass one of: {known}")
        asked = names[: names.index(until) + 1] if until else names
        if start and start not in asked:
            raise UserError(
                f"nothing would run: {start} comes after {until}; pass -P until={start} "
                "or a later step, or leave it out"
            )
        return cls(asked, start, forced)

    def skips(self, step: str) -> bool:
        """Whether a step comes before ``from``, so that its latest run is taken as it is."""
        return bool(self.start) and self.names.index(step) < self.names.index(self.start)

    def requires(self, step: str) -> bool:
        """Whether a step runs even if a finished run of it fits."""
        return step in self.forced or step == self.start

    def rest(self, step: str) -> dict[str, str]:
        """Return the parameters that ask for the pipeline from a step on.

        The step itself is not forced again: it resumes its interrupted run.
        """
        later = self.names[self.names.index(step) + 1 :]
        return {"from": step, "force": ",".join(name for name in later if name in self.forced)}
