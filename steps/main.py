"""Main: the whole pipeline, from the landing zone to a released model; what is fresh is reused."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import mlflow
from mlflow.entities import Run
from pydantic import BaseModel, Field, create_model

from steps import export, ingest, promote, register, train, tune
from steps.dataset.selection import SelectionParameters
from steps.errors import UserError
from steps.pipeline.cache_key import Parts
from steps.pipeline.entry_point import run_entry_point
from steps.pipeline.outages import fail_fast
from steps.pipeline.outputs import MainOutputs, StepDone
from steps.pipeline.pipeline_state import failed, keep_unfinished, says
from steps.pipeline.reuse import cut_off, reusable
from steps.pipeline.runs import LATEST, resolve_input
from steps.pipeline.step import RESUME, RUN_ID, Step, StepRun
from steps.reports.main import fill_report
from steps.settings.profile import Profile

PIPELINE = (ingest.STEP, tune.STEP, train.STEP, register.STEP, promote.STEP, export.STEP)

logger = logging.getLogger("steps")


# the same default and words as ingest's own
_SOURCE: Any = ingest.Parameters.model_fields["source"]


class _Own(SelectionParameters):
    """Run ingest, tune, train, register, promote and export, each as a nested run.

    A parameter of one step stands here with the step's name before it."""

    source: str = _SOURCE
    dry_run: bool = Field(False, description="only say what would run, and why")
    force: str = Field("", description="steps to run even where a run fits, such as tune,train")
    until: str = Field("", description="the last step to run")


# `from` is a keyword, which a class statement cannot name a field by
_FROM = Field("", description="run from this step on; the newest finished runs before it are taken")


def _of_each_step(shared: type[BaseModel]) -> dict[str, tuple[Any, Any]]:
    return {
        f"{step.name}_{name}": (field.annotation, field)
        for step in PIPELINE
        for name, field in step.parameters.model_fields.items()
        if name not in shared.model_fields and not name.endswith(RUN_ID)
    }


def make_parameters() -> type[_Own]:
    """The parameters of main: its own, and those of each step."""
    fields: dict[str, Any] = {"from": (str, _FROM), **_of_each_step(_Own)}
    return create_model("Parameters", __base__=_Own, **fields, __doc__=_Own.__doc__)


Parameters = make_parameters()


def main(run: StepRun, parameters: Any) -> MainOutputs:
    """Go down the pipeline: reuse a finished run of the same key, or run the step."""
    asked = _Asked.of(parameters)
    runs: dict[str, str] = {}
    done: list[StepDone] = []
    try:
        for step in PIPELINE[: asked.end]:
            run.commands.resume_with(**asked.rest(step.name))
            _go(step, run.profile, parameters, asked, runs, done)
    except (Exception, KeyboardInterrupt):
        with fail_fast(), suppress(Exception):  # the tracking server may be what is away
            keep_unfinished(done, run.commands.resume())
        raise
    finally:
        if done:
            fill_report(run.report, done)
    run.report.next_command = run.commands.next("device")
    return MainOutputs(runs=runs, steps=done)


def _go(
    step: Step,
    profile: Profile,
    parameters: Any,
    asked: "_Asked",
    runs: dict[str, str],
    done: list[StepDone],
) -> None:
    """Reuse or run one step, and add it to the runs and to what was done."""
    chosen = _parameters_of(step, parameters, runs)
    # once, and only where it is asked for: ingest's costs a look at the whole landing zone
    parts = cache(lambda: step.key_parts(chosen, profile, {n: runs[n] for n in step.input_names()}))
    given, before = chosen, [one.step for one in done if not one.reused]
    if before and parameters.dry_run:
        found, reason = None, f"{before[-1]} runs"
    else:
        found, reason = _reusable(step, parts, profile, asked)
        if not found and step.name not in asked.anew and (begun := cut_off(step, parts(), profile)):
            given = chosen.model_copy(update={RESUME: begun})
            reason += f"; it goes on from run {begun}, which was cut off"
    logger.info("%-8s  %s", step.name, says(found and found.info.run_id, reason))
    was = StepDone(step=step.name, run_id="", reused=bool(found), reason=reason, seconds=0)
    if not found and not parameters.dry_run:
        try:
            found = run_entry_point(step.name, given)
        except (UserError, KeyboardInterrupt):
            done.append(failed(was))
            raise
    if found:
        runs[step.name] = found.info.run_id
        seconds = found.data.metrics.get("seconds", 0)
        was = was.model_copy(update={"run_id": found.info.run_id, "seconds": seconds})
    done.append(was)


@dataclass(frozen=True)
class _Asked:
    """What ``from``, ``force`` and ``until`` ask for."""

    taken: frozenset[str]  # as they are: before `from`
    forced: frozenset[str]
    anew: frozenset[str]  # of these, those that go on from no run that was cut off
    end: int

    @classmethod
    def of(cls, parameters: Any) -> "_Asked":
        names = [step.name for step in PIPELINE]
        start = getattr(parameters, "from")
        forced = {name for name in parameters.force.replace(" ", "").split(",") if name}
        for name in {start, parameters.until, *forced} - {""}:
            if name not in names:
                raise UserError(
                    f"{name!r} is no step of the pipeline; pass one of: {' '.join(names)}"
                )
        first = names.index(start) if start else 0
        end = names.index(parameters.until) + 1 if parameters.until else len(names)
        if first >= end:
            raise UserError(
                f"nothing would run: {start} comes after {parameters.until}; pass -P until={start} "
                "or a later step, or leave it out"
            )
        forced_too = frozenset(forced | ({start} - {""}))
        return cls(frozenset(names[:first]), forced_too, frozenset(forced), end)

    def rest(self, step: str) -> dict[str, str]:
        """What asks for the pipeline from a step on, which goes on there though it was forced."""
        names = [each.name for each in PIPELINE]
        later = [name for name in names[names.index(step) + 1 :] if name in self.anew]
        return {"from": step, "force": ",".join(later)}


def _parameters_of(step: Step, parameters: Any, runs: dict[str, str]) -> Any:
    """The step's own parameters, as they follow from those of main and the runs before."""
    values = {}
    for name in step.parameters.model_fields:
        if name.removesuffix(RUN_ID) in step.input_names():
            values[name] = runs.get(name.removesuffix(RUN_ID), LATEST)
        elif not name.endswith(RUN_ID):
            shared = name in _Own.model_fields
            values[name] = getattr(parameters, name if shared else f"{step.name}_{name}")
    return step.parameters(**values)


def _reusable(
    step: Step, parts: Callable[[], Parts], profile: Profile, asked: "_Asked"
) -> tuple[Run | None, str]:
    """A finished run that can stand for the step, or the reason why there is none."""
    if step.name in asked.taken:
        return mlflow.get_run(resolve_input(step.name, LATEST)), ""
    if step.name in asked.forced:
        return None, "it was asked for"
    return reusable(step, parts(), profile)


STEP = Step("main", Parameters, MainOutputs, main)

if __name__ == "__main__":
    STEP.main()
