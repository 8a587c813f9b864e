"""The parameters of the pipeline: its own, and those of its steps under the names of the steps."""

import re
from typing import Any

from pydantic import BaseModel

from steps.pipeline.runs import LATEST
from steps.pipeline.step import Step
from steps.settings.parameters import input_step

HINT = re.compile(r"(?<=-P )\w+")


def pipeline_name(step: Step, name: str, own: type[BaseModel]) -> str:
    """Return the pipeline's name of a step's parameter: ``tune_trials``, or the shared one."""
    return name if name in own.model_fields else f"{step.name}_{name}"


def step_fields(steps: tuple[Step, ...], own: type[BaseModel]) -> dict[str, tuple[Any, Any]]:
    """Return the fields that the steps add to the pipeline's own; run IDs follow from the runs.

    Args:
        steps: of the pipeline.
        own: the parameters of the pipeline itself; those of a step with the same name are one.
    """
    return {
        pipeline_name(step, name, own): (field.annotation, field)
        for step in steps
        for name, field in step.parameters.model_fields.items()
        if name not in own.model_fields and input_step(name) is None
    }


def parameters_of(
    step: Step, parameters: BaseModel, own: type[BaseModel], runs: dict[str, str]
) -> Any:
    """Return a step's parameters, as they follow from the pipeline's and from earlier runs.

    Args:
        step: which step.
        parameters: of the pipeline.
        own: as for :func:`step_fields`.
        runs: run ID by step; an input without a run is the latest.
    """
    values = {}
    for name in step.parameters.model_fields:
        made_by = input_step(name)
        if made_by in step.input_names():
            values[name] = runs.get(made_by, LATEST)
        elif made_by is None:
            values[name] = getattr(parameters, pipeline_name(step, name, own))
    return step.parameters(**values)


def with_pipeline_names(message: str, step: Step, own: type[BaseModel]) -> str:
    """Return what a step says with ``-P`` before the pipeline's names of its parameters."""

    def renamed(hint: re.Match[str]) -> str:
        known = hint[0] in step.parameters.model_fields and input_step(hint[0]) is None
        return pipeline_name(step, hint[0], own) if known else hint[0]

    return HINT.sub(renamed, message)
