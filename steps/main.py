"""Main: the whole chain, from the landing zone to a released model; what is fresh is reused."""

import logging
import os
import sys
from typing import Any

import mlflow
from mlflow.exceptions import ExecutionException
from pydantic import BaseModel, Field, create_model

from steps import export, ingest, promote, register, train, tune
from steps.errors import UserError
from steps.settings.profile import PROJECT, Profile
from steps.tracking.inputs import experiment_id, finished_runs, read_outputs
from steps.tracking.outputs import MainOutputs
from steps.tracking.step import RUN_ID, Step, StepRun
from steps.training.selection import SelectionParameters

CHAIN = (ingest.STEP, tune.STEP, train.STEP, register.STEP, promote.STEP, export.STEP)

logger = logging.getLogger("steps")


class _Own(SelectionParameters):
    """Run ingest, tune, train, register, promote and export, each as a nested run.

    A parameter of one step stands here with the step's name before it."""

    source: str = ingest.Parameters.model_fields["source"]
    dry_run: bool = Field(False, description="only say what would run, and why")


def _of_each_step(shared: type[BaseModel]) -> dict[str, tuple[Any, Any]]:
    return {
        f"{step.name}_{name}": (field.annotation, field)
        for step in CHAIN
        for name, field in step.parameters.model_fields.items()
        if name not in shared.model_fields and not name.endswith(RUN_ID)
    }


Parameters = create_model("Parameters", __base__=_Own, __doc__=_Own.__doc__, **_of_each_step(_Own))


def main(run: StepRun, parameters: Any) -> MainOutputs:
    """Go down the chain: reuse a finished run of the same key, or run the step."""
    runs: dict[str, str] = {}
    lines: list[list[str]] = []
    running = None
    for step in CHAIN:
        chosen = _parameters_of(step, parameters, runs)
        if running and parameters.dry_run:
            found, reason = None, f"{running} runs"
        else:
            found, reason = _reusable(step, chosen, run.profile, runs)
        says = f"reuse run {found}" if found else f"run, because {reason}"
        logger.info("%-8s  %s", step.name, says)
        lines.append([step.name, says])
        if not found:
            running = step.name
            if not parameters.dry_run:
                found = _run(step, chosen)
        if found:
            runs[step.name] = found
    run.card.table("Steps", ["step", "what was done"], lines)
    run.card.next_command = "mlflow run . -e device"
    return MainOutputs(runs=runs)


def _parameters_of(step: Step, parameters: Any, runs: dict[str, str]) -> Any:
    """The step's own parameters, as they follow from those of main and the runs before."""
    values = {}
    for name in step.parameters.model_fields:
        if name.endswith(RUN_ID):
            values[name] = runs.get(name.removesuffix(RUN_ID), "latest")
        else:
            shared = name in _Own.model_fields
            values[name] = getattr(parameters, name if shared else f"{step.name}_{name}")
    return step.parameters(**values)


def _reusable(
    step: Step, chosen: Any, profile: Profile, runs: dict[str, str]
) -> tuple[str | None, str]:
    """A finished run that can stand for the step, or the reason why there is none."""
    inputs = {name: runs[name] for name in step.input_names()}
    key = step.cache_key(chosen, profile, inputs)
    reason = "its code, parameters, environment or inputs changed"
    if not finished_runs(step.name, count=1):
        reason = "it has not run yet"
    for candidate in finished_runs(step.name, count=3, cache_key=key):
        id_ = candidate.info.run_id
        try:
            gone = step.holds(read_outputs(id_, step.outputs), profile)
        except UserError as error:
            gone = str(error)
        if gone is None:
            return id_, ""
        reason = gone
    return None, reason


def _run(step: Step, chosen: Any) -> str:
    """Run a step as an entry point of this project, nested in the active run."""
    logging.getLogger("mlflow.projects").setLevel(logging.WARNING)
    # the entry point's `python` is the one that runs here
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    defaults = step.parameters().model_dump()
    given = {
        name: str(value)
        for name, value in chosen.model_dump().items()
        if value is not None and value != defaults[name]
    }
    try:
        submitted = mlflow.projects.run(
            str(PROJECT),
            entry_point=step.name,
            parameters=given,
            experiment_id=experiment_id(),
            env_manager="local",
            run_name=step.name,
        )
    except ExecutionException as error:
        raise UserError(
            f"{step.name} failed; mend it and run again: the steps before it are reused"
        ) from error
    return submitted.run_id


STEP = Step("main", Parameters, MainOutputs, main)

if __name__ == "__main__":
    STEP.main()
