"""Main: the whole chain, from the landing zone to a released model; what is fresh is reused."""

import logging
import os
import shlex
import sys
from dataclasses import dataclass
from typing import Any

import mlflow
from mlflow.exceptions import ExecutionException
from pydantic import BaseModel, Field, create_model

from steps import export, ingest, promote, register, train, tune
from steps.errors import UserError
from steps.settings.profile import PROJECT, Profile
from steps.tracking.cache_key import cache_key, differences
from steps.tracking.chain import fill_card, says
from steps.tracking.inputs import (
    LATEST,
    experiment_id,
    finished_runs,
    read_key_parts,
    read_outputs,
    resolve_input,
)
from steps.tracking.outputs import MainOutputs, StepDone
from steps.tracking.step import RUN_ID, Step, StepRun
from steps.training.selection import SelectionParameters

CHAIN = (ingest.STEP, tune.STEP, train.STEP, register.STEP, promote.STEP, export.STEP)

logger = logging.getLogger("steps")


class _Own(SelectionParameters):
    """Run ingest, tune, train, register, promote and export, each as a nested run.

    A parameter of one step stands here with the step's name before it."""

    source: str = ingest.Parameters.model_fields["source"]
    dry_run: bool = Field(False, description="only say what would run, and why")
    force: str = Field("", description="steps to run even where a run fits, such as tune,train")
    until: str = Field("", description="the last step to run")


# `from` is a keyword, which a class statement cannot name a field by
_FROM = Field("", description="run from this step on; the newest finished runs before it are taken")


def _of_each_step(shared: type[BaseModel]) -> dict[str, tuple[Any, Any]]:
    return {
        f"{step.name}_{name}": (field.annotation, field)
        for step in CHAIN
        for name, field in step.parameters.model_fields.items()
        if name not in shared.model_fields and not name.endswith(RUN_ID)
    }


def make_parameters() -> type[_Own]:
    """The parameters of main: its own, and those of each step."""
    fields = {"from": (str, _FROM), **_of_each_step(_Own)}
    return create_model("Parameters", __base__=_Own, __doc__=_Own.__doc__, **fields)


Parameters = make_parameters()


def main(run: StepRun, parameters: Any) -> MainOutputs:
    """Go down the chain: reuse a finished run of the same key, or run the step."""
    asked = _Asked.of(parameters)
    runs: dict[str, str] = {}
    done: list[StepDone] = []
    running = None
    for step in CHAIN[: asked.end]:
        chosen = _parameters_of(step, parameters, runs)
        if running and parameters.dry_run:
            found, reason = None, f"{running} runs"
        else:
            found, reason = _reusable(step, chosen, run.profile, runs, asked)
        logger.info("%-8s  %s", step.name, says(found, reason))
        reused = found is not None
        if not found:
            running = step.name
            if not parameters.dry_run:
                found = _run(step, chosen, parameters)
        if found:
            runs[step.name] = found
        done.append(
            StepDone(
                step=step.name,
                run_id=found or "",
                reused=reused,
                reason=reason,
                seconds=_seconds(found) if found else 0,
            )
        )
    fill_card(run.card, done)
    run.card.next_command = "mlflow run . -e device"
    return MainOutputs(runs=runs, steps=done)


def _seconds(run_id: str) -> float:
    return mlflow.get_run(run_id).data.metrics.get("seconds", 0)


@dataclass(frozen=True)
class _Asked:
    """What ``from``, ``force`` and ``until`` ask for."""

    taken: frozenset[str]  # as they are: before `from`
    forced: frozenset[str]
    end: int

    @classmethod
    def of(cls, parameters: Any) -> "_Asked":
        names = [step.name for step in CHAIN]
        start = getattr(parameters, "from")
        forced = {name for name in parameters.force.replace(" ", "").split(",") if name}
        for name in {start, parameters.until, *forced} - {""}:
            if name not in names:
                raise UserError(f"{name!r} is no step of the chain; pass one of: {' '.join(names)}")
        first = names.index(start) if start else 0
        return cls(
            taken=frozenset(names[:first]),
            forced=frozenset(forced | ({start} - {""})),
            end=names.index(parameters.until) + 1 if parameters.until else len(names),
        )


def _parameters_of(step: Step, parameters: Any, runs: dict[str, str]) -> Any:
    """The step's own parameters, as they follow from those of main and the runs before."""
    values = {}
    for name in step.parameters.model_fields:
        if name.removesuffix(RUN_ID) in step.input_names():
            values[name] = runs.get(name.removesuffix(RUN_ID), "latest")
        elif not name.endswith(RUN_ID):
            shared = name in _Own.model_fields
            values[name] = getattr(parameters, name if shared else f"{step.name}_{name}")
    return step.parameters(**values)


def _reusable(
    step: Step, chosen: Any, profile: Profile, runs: dict[str, str], asked: _Asked
) -> tuple[str | None, str]:
    """A finished run that can stand for the step, or the reason why there is none."""
    if step.name in asked.taken:
        return resolve_input(step.name, LATEST), ""
    if step.name in asked.forced:
        return None, "it was asked for"
    newest = finished_runs(step.name, count=1)
    if not newest:
        return None, "it has not run yet"
    inputs = {name: runs[name] for name in step.input_names()}
    parts = step.key_parts(chosen, profile, inputs)
    lost = ""
    for candidate in finished_runs(step.name, count=3, cache_key=cache_key(parts)):
        id_ = candidate.info.run_id
        try:
            gone = step.holds(read_outputs(id_, step.outputs), profile)
        except UserError as error:
            gone = str(error)
        if gone is None:
            return id_, ""
        lost = gone
    before = read_key_parts(newest[0].info.run_id)
    return None, lost or differences(before or {}, parts)


def _run(step: Step, chosen: Any, parameters: Any) -> str:
    """Run a step as an entry point of this project, nested in the active run."""
    logging.getLogger("mlflow.projects").setLevel(logging.WARNING)
    # the entry point's `python` is the one that runs here
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    try:
        submitted = mlflow.projects.run(
            str(PROJECT),
            entry_point=step.name,
            parameters=_given(chosen, step.parameters()),
            experiment_id=experiment_id(),
            env_manager="local",
            run_name=step.name,
        )
    except ExecutionException as error:
        raise UserError(
            f"{step.name} failed; mend it, and go on with: "
            + " ".join(["mlflow run .", *_flags(parameters), f"-P from={step.name}"])
        ) from error
    return submitted.run_id


def _given(chosen: Any, defaults: Any) -> dict[str, str]:
    """The parameters that are not as by default, as text."""
    return {
        name: str(value)
        for name, value in chosen.model_dump().items()
        if value is not None and value != getattr(defaults, name)
    }


def _flags(parameters: Any) -> list[str]:
    given = _given(parameters, type(parameters)())
    return [f"-P {name}={shlex.quote(value)}" for name, value in given.items() if name != "from"]


STEP = Step("main", Parameters, MainOutputs, main)

if __name__ == "__main__":
    STEP.main()
