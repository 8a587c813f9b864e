"""Main: the whole pipeline, from the landing zone to a released model, reusing finished runs."""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any, Literal

import mlflow
from mlflow.entities import Run
from pydantic import Field, create_model

from steps import export, ingest, promote, register, train, tune
from steps.dataset.selection import SelectionParameters
from steps.endings import Result
from steps.errors import RunAgain, UserError
from steps.ingestion.landing import normalize
from steps.pipeline.cache_key import Parts
from steps.pipeline.entry_point import run_entry_point
from steps.pipeline.model_names import MODEL, name_model
from steps.pipeline.outages import fail_fast
from steps.pipeline.outputs import IngestOutputs, MainOutputs, Outputs, RegisterOutputs, StepDone
from steps.pipeline.pipeline_parameters import parameters_of, step_fields, with_pipeline_names
from steps.pipeline.pipeline_request import Request
from steps.pipeline.pipeline_state import decision, describe_failure, ending_of, log_unfinished
from steps.pipeline.reuse import find_interrupted_run, find_reusable_run, invalid_reason
from steps.pipeline.run_files import read_outputs
from steps.pipeline.runs import LATEST, finished_runs, resolve_input
from steps.pipeline.step import Step, StepRun
from steps.registry.versions import CHAMPION, is_released
from steps.reports.main import fill_report
from steps.settings.parameters import RESUME
from steps.settings.profile import Profile

PIPELINE: tuple[Step, ...] = (
    ingest.STEP,
    tune.STEP,
    train.STEP,
    register.STEP,
    promote.STEP,
    export.STEP,
)

LABELLED = {"from": "", "ingest_labels": "labels.csv"}
"""What the pipeline runs with once its images have labels."""

logger = logging.getLogger("steps")

# the same defaults and help as the steps' own
_SOURCE: Any = ingest.Parameters.model_fields["source"]
_ON_REFUSAL: Any = promote.Parameters.model_fields["on_refusal"]


class OwnParameters(SelectionParameters):
    """Run ingest, tune, train, register, promote and export, each as a nested run.

    A parameter of one step is named after the step, such as tune_trials."""

    source: str = _SOURCE
    dry_run: bool = Field(False, description="only print which steps would run, and why")
    force: str = Field("", description="steps to run even if a run fits, such as tune,train")
    until: str = Field("", description="the last step to run")
    on_refusal: Literal["finish", "fail"] = _ON_REFUSAL


# `from` is a keyword, which a class statement cannot name a field by
_FROM = Field("", description="the first step to run; earlier steps give their latest runs")


def make_parameters() -> type[OwnParameters]:
    """Return the parameters of main: its own, and those of each step."""
    fields: dict[str, Any] = {"from": (str, _FROM), **step_fields(PIPELINE, OwnParameters)}
    return create_model(
        "Parameters", __base__=OwnParameters, **fields, __doc__=OwnParameters.__doc__
    )


Parameters = make_parameters()


def main(run: StepRun, parameters: Any) -> MainOutputs:
    """Go down the pipeline: reuse a finished run of the same key, or run the step."""
    request = Request.parse(
        getattr(parameters, "from"),
        parameters.force,
        parameters.until,
        tuple(step.name for step in PIPELINE),
    )
    runs: dict[str, str] = {}
    done: list[StepDone] = []
    # promote ends well, so that its comparison is reused; it is the pipeline that fails
    of_steps = parameters.model_copy(update={"on_refusal": "finish"})
    ending = Outputs()
    model = partial(_model_of, run.profile, runs, parameters.source)
    try:
        for step in PIPELINE[: len(request.names)]:
            if _is_left_out(step, ending, request, model):
                continue
            run.commands.resume_with(**request.rest(step.name))
            _run_or_reuse(step, run.profile, of_steps, request, runs, done)
            if not ending.result.is_refusal:
                run_id = runs.get(step.name)  # a dry run has none
                ending = read_outputs(run_id, step.outputs) if run_id else Outputs()
        run.commands.resume_with(**dict.fromkeys(("from", "force", "dry_run"), ""))
        result, line = ending_of(done, ending, run.commands.resume())
        if result.is_refusal and parameters.on_refusal == "fail":
            raise UserError(line, result=result)
    except (Exception, KeyboardInterrupt):
        with fail_fast(), suppress(Exception):  # the tracking server may be what does not answer
            log_unfinished(done, run.commands.resume())
        raise
    finally:
        if done:
            fill_report(run.report, done)
    if registered := runs.get("register"):  # the steps that are run next by hand follow it
        mlflow.set_tag(MODEL, read_outputs(registered, RegisterOutputs).model)
    no_model = result is Result.NO_MODEL
    run.report.next_command = run.commands.resume() if no_model else run.commands.next("device")
    return MainOutputs(runs=runs, steps=done, result=result, line=line)


def _is_left_out(step: Step, ending: Outputs, request: Request, model: Callable[[], str]) -> bool:
    """Return whether a step has nothing to do: after a refused challenger, or without a run that
    the steps after it can do without."""
    if request.skips(step.name) and any(step.name in other.optional for other in PIPELINE):
        return not finished_runs(step.name, count=1)
    if not ending.result.is_refusal or request.requires(step.name):
        return False
    return ending.result is Result.NO_MODEL or is_released(model(), CHAMPION)


def _run_or_reuse(
    step: Step,
    profile: Profile,
    parameters: Any,
    request: Request,
    runs: dict[str, str],
    done: list[StepDone],
) -> None:
    """Reuse or run one step; add its run to the runs, and what was done to the steps done."""
    chosen = parameters_of(step, parameters, OwnParameters, runs)
    if MODEL in step.settings and not profile.model:
        profile = profile.named(_model_of(profile, runs, parameters.source))
        chosen = chosen.model_copy(update={MODEL: profile.model})
    # once, and only if it is needed: ingest's lists the whole landing zone
    inputs = {name: runs[name] for name in step.input_names() if name in runs}
    parts = cache(lambda: step.key_parts(chosen, profile, inputs))
    earlier = [one.step for one in done if not one.reused]
    if earlier and parameters.dry_run:
        found, reason = None, f"{earlier[-1]} runs"
    else:
        found, reason = _find_run(step, parts, profile, request)
        resumes = not found and step.name not in request.forced
        if resumes and (interrupted := find_interrupted_run(step, parts(), profile)):
            chosen = chosen.model_copy(update={RESUME: interrupted})
            reason += f"; it resumes run {interrupted}, which was interrupted"
    if found and request.skips(step.name) and parameters.source != _SOURCE.default:
        _require_source(read_outputs(found.info.run_id, step.outputs), step, parameters.source)
    logger.info("%-8s  %s", step.name, decision(found and found.info.run_id, reason))
    result = StepDone(step=step.name, run_id="", reused=bool(found), reason=reason, seconds=0)
    if not found and not parameters.dry_run:
        found = _run(step, chosen, result, done)
    if found:
        runs[step.name] = found.info.run_id
        seconds = found.data.metrics.get("seconds", 0)
        result = result.model_copy(update={"run_id": found.info.run_id, "seconds": seconds})
    done.append(result)


def _require_source(outputs: Any, step: Step, source: str) -> None:
    """Raise an error if the latest run of a skipped step is of other images than were asked for."""
    read = getattr(getattr(outputs, "selection", outputs), "source", None)
    if read not in (None, normalize(source)):
        raise UserError(
            f"the latest run of {step.name} is of {read}, not of {source}; leave out -P from=, and "
            "what has run for this source is reused"
        )


def _model_of(profile: Profile, runs: dict[str, str], source: str) -> str:
    """Return the profile's model, or the one that is named after the source of its images."""
    if profile.model:
        return profile.model
    ingested = runs.get("ingest")
    read = read_outputs(ingested, IngestOutputs).source if ingested else normalize(source)
    return name_model(read)


def _find_run(
    step: Step, parts: Callable[[], Parts], profile: Profile, request: Request
) -> tuple[Run | None, str]:
    """Return a finished run that stands for the step, or why there is none."""
    if request.skips(step.name):
        run_id = resolve_input(step.name, LATEST)
        first = next(other for other in PIPELINE if other.name == request.start)
        read_next = step.name in first.input_names()
        reason = invalid_reason(run_id, step, profile) if read_next else None
        return (None, reason) if reason else (mlflow.get_run(run_id), "")
    if request.requires(step.name):
        return None, "it was asked for"
    return find_reusable_run(step, parts(), profile)


def _run(step: Step, chosen: Any, result: StepDone, done: list[StepDone]) -> Run:
    """Run the step; if it fails or is stopped, add that to the steps done."""
    try:
        return run_entry_point(step.name, chosen)
    except (UserError, KeyboardInterrupt) as error:
        failure = describe_failure(result)
        reason = with_pipeline_names(failure.reason, step, OwnParameters)
        done.append(failure.model_copy(update={"reason": reason}))
        if isinstance(error, KeyboardInterrupt):
            raise
        if failure.result.is_refusal:
            raise UserError(reason, result=failure.result) from error
        problem = reason.partition("; run: ")[0]  # the step's own command is not the pipeline's
        if failure.result is Result.NO_LABELS:
            raise UserError(problem, RunAgain(LABELLED), failure.result) from error
        raise UserError(
            f"{step.name} failed and has to be fixed first: {problem}", RunAgain()
        ) from error


STEP = Step("main", Parameters, MainOutputs, main)

if __name__ == "__main__":
    STEP.main()
