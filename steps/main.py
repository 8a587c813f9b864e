"""Main: the whole pipeline, from the landing zone to a released model, reusing finished runs."""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, Literal

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import ExecutionException
from pydantic import Field, create_model

from steps import export, ingest, promote, register, train, tune
from steps.dataset.own_split import source_with_test
from steps.endings import Result
from steps.errors import RunAgain, UserError
from steps.evaluation.miss_rate import Wish, require_images
from steps.lake.session import SharedSession
from steps.landing.place import normalize
from steps.pipeline.cache_key import Parts
from steps.pipeline.entry_point import run_entry_point
from steps.pipeline.model_names import MODEL, name_model
from steps.pipeline.outages import fail_fast
from steps.pipeline.outputs import IngestOutputs, Outputs, RegisterOutputs
from steps.pipeline.pipeline_parameters import (
    PipelineRequest,
    parameters_of,
    rename_hints,
    step_fields,
)
from steps.pipeline.pipeline_state import (
    MainOutputs,
    StepDone,
    failed_step_state,
    log_unfinished,
    pipeline_ending,
)
from steps.pipeline.reuse import (
    find_interrupted_run,
    find_reusable_run,
    invalid_reason,
    reuse_decision,
)
from steps.pipeline.run_files import read_outputs
from steps.pipeline.runs import LATEST, finished_runs, resolve_input
from steps.pipeline.step import Step, StepRun
from steps.registry.aliases import CHAMPION, is_released
from steps.reports.main import fill_report
from steps.settings.parameters import RESUME
from steps.settings.profile import Profile
from steps.training.plan_parameters import NetworkParameters

PIPELINE = tuple(module.STEP for module in (ingest, tune, train, register, promote, export))

LABELLED = {"from": "", "ingest_labels": "labels.csv"}
"""What the pipeline runs with once its images have labels."""

logger = logging.getLogger("steps")

# the same defaults and help as the steps' own
_SOURCE: Any = ingest.Parameters.model_fields["source"]
_ON_REFUSAL: Any = promote.Parameters.model_fields["on_refusal"]
_MAX_MISS_RATE: Any = train.Parameters.model_fields["max_miss_rate"]
_MAX_RISK: Any = train.Parameters.model_fields["max_risk"]


class OwnParameters(NetworkParameters):
    """Run ingest, tune, train, register, promote and export, each as a nested run.

    A parameter of one step is named after the step, such as tune_trials."""

    source: str = _SOURCE
    dry_run: bool = Field(False, description="only print which steps would run, and why")
    force: str = Field("", description="steps to run even if a run fits, such as tune,train")
    until: str = Field("", description="the last step to run")
    on_refusal: Literal["finish", "fail"] = _ON_REFUSAL
    max_miss_rate: Wish = _MAX_MISS_RATE
    max_risk: float = _MAX_RISK


# `from` is a keyword, which a class statement cannot name a field by
_FROM = Field("", description="the first step to run; earlier steps give their latest runs")


def make_main_parameters() -> type[OwnParameters]:
    """Return the parameters of main: its own, and those of each step."""
    about = OwnParameters.__doc__
    fields: dict[str, Any] = {"from": (str, _FROM), **step_fields(PIPELINE, OwnParameters)}
    return create_model("Parameters", __base__=OwnParameters, __doc__=about, **fields)


Parameters = make_main_parameters()


def main(run: StepRun, parameters: Any) -> MainOutputs:
    """Go down the pipeline: reuse a finished run of the same key, or run the step."""
    pipeline = _Pipeline(run.profile, parameters)
    request, done, ending = pipeline.request, pipeline.done, Outputs()
    try:
        with pipeline.spark:
            for step in PIPELINE[: len(request.names)]:
                if pipeline.leaves_out(step, ending.result):
                    continue
                run.commands.to_resume = request.rest(step.name)
                pipeline.run_or_reuse(step)
                if not ending.result.is_refusal:
                    run_id = pipeline.runs.get(step.name)  # a dry run has none
                    ending = read_outputs(run_id, step.outputs) if run_id else Outputs()
                if isinstance(ending, IngestOutputs):  # before tune searches
                    require_images(parameters.max_miss_rate, ending.labels, is_split=False)
        run.commands.to_resume = dict.fromkeys(("from", "force", "dry_run"), "")
        result, line = pipeline_ending(done, ending, run.commands.resume())
        if result.is_refusal and parameters.on_refusal == "fail":
            raise UserError(line, result=result)
    except (Exception, KeyboardInterrupt):
        with fail_fast(), suppress(Exception):  # the tracking server may be what does not answer
            log_unfinished(done, run.commands.resume())
        raise
    finally:
        if done:
            fill_report(run.report, done)
    if registered := pipeline.runs.get("register"):  # the steps that are run next by hand follow it
        mlflow.set_tag(MODEL, read_outputs(registered, RegisterOutputs).model)
    no_model = result is Result.NO_MODEL
    run.report.next_command = run.commands.resume() if no_model else run.commands.next("device")
    return MainOutputs(runs=pipeline.runs, steps=done, result=result, line=line)


class _Pipeline:
    """What was asked for, the run ID by step, and what was done so far."""

    def __init__(self, profile: Profile, parameters: Any):
        source, test = source_with_test(parameters.source, parameters.test)
        self.profile, self.source = profile, source
        # promote ends well, so that its comparison is reused; it is the pipeline that fails
        own = {"source": source, "test": test, "on_refusal": "finish"}
        self.parameters = parameters.model_copy(update=own)
        self.request = PipelineRequest.parse(parameters, tuple(step.name for step in PIPELINE))
        self.runs: dict[str, str] = {}
        self.done: list[StepDone] = []
        self.spark = SharedSession()

    def leaves_out(self, step: Step, ending: Result) -> bool:
        """Return whether a step has nothing to do: after a refused challenger, or without a run
        that the steps after it can do without."""
        if self.request.skips(step.name) and any(step.name in other.optional for other in PIPELINE):
            return not finished_runs(step.name, count=1)
        if not ending.is_refusal or self.request.requires(step.name):
            return False
        return ending is Result.NO_MODEL or is_released(self._model(), CHAMPION)

    def run_or_reuse(self, step: Step) -> None:
        """Reuse or run one step; add its run to the runs, and what was done to the steps done."""
        chosen, profile = parameters_of(step, self.parameters, self.runs), self.profile
        if MODEL in step.settings and not profile.model:
            profile = profile.named(self._model())
            chosen = chosen.model_copy(update={MODEL: profile.model})
        # once, and only if it is needed: ingest's lists the whole landing zone
        needed = step.parameters.input_names()
        inputs = {name: run_id for name, run_id in self.runs.items() if name in needed}
        parts = cache(lambda: step.key_parts(chosen, profile, inputs))
        earlier = [one.step for one in self.done if not one.reused]
        if earlier and self.parameters.dry_run:
            found, reason = None, f"{earlier[-1]} runs"
        else:
            found, reason = self._find_run(step, parts, profile)
            resumes = not found and step.name not in self.request.forced
            if resumes and (interrupted := find_interrupted_run(step, parts(), profile)):
                chosen = chosen.model_copy(update={RESUME: interrupted})
                reason += f"; it resumes run {interrupted}, which was interrupted"
        logger.info("%-8s  %s", step.name, reuse_decision(found and found.info.run_id, reason))
        done = StepDone(step=step.name, reused=bool(found), reason=reason)
        if not found and not self.parameters.dry_run:
            found = self._run(step, chosen)
        if found:
            self.runs[step.name] = found.info.run_id
            seconds = found.data.metrics.get("seconds", 0)
            done = done.model_copy(update={"run_id": found.info.run_id, "seconds": seconds})
        self.done.append(done)

    def _model(self) -> str:
        """Return the profile's model, or the one that is named after the source of its images."""
        if self.profile.model:
            return self.profile.model
        ingested = self.runs.get("ingest")
        read = read_outputs(ingested, IngestOutputs).source if ingested else normalize(self.source)
        return name_model(read)

    def _find_run(
        self, step: Step, parts: Callable[[], Parts], profile: Profile
    ) -> tuple[Run | None, str]:
        """Return a finished run that stands for the step, or why there is none."""
        if self.request.skips(step.name):
            run_id = resolve_input(step.name, LATEST)
            first = next(other for other in PIPELINE if other.name == self.request.start)
            read_next = step.name in first.parameters.input_names()
            if read_next and (reason := invalid_reason(run_id, step, profile)):
                return None, reason
            if self.source != _SOURCE.default:
                _require_source(read_outputs(run_id, step.outputs), step, self.source)
            return mlflow.get_run(run_id), ""
        if self.request.requires(step.name):
            return None, "it was asked for"
        return find_reusable_run(step, parts(), profile)

    def _run(self, step: Step, chosen: Any) -> Run:
        """Run the step; if it fails or is stopped, add that to the steps done."""
        try:
            if step.own_process:
                self.spark.stop()  # for its memory
            return run_entry_point(step, chosen)
        except (ExecutionException, KeyboardInterrupt) as error:
            failure = failed_step_state(step.name)
            reason = rename_hints(failure.reason, step, type(self.parameters).model_fields)
            self.done.append(failure.model_copy(update={"reason": reason}))
            if isinstance(error, KeyboardInterrupt):
                raise
            if failure.result.is_refusal:
                raise UserError(reason, result=failure.result) from error
            problem = reason.partition("; run: ")[0]  # the step's own command is not the pipeline's
            if failure.result is Result.NO_LABELS:
                raise UserError(problem, RunAgain(LABELLED), failure.result) from error
            message = f"{step.name} failed and has to be fixed first: {problem}"
            raise UserError(message, RunAgain()) from error


def _require_source(outputs: Any, step: Step, source: str) -> None:
    """Raise an error if the latest run of a skipped step is of other images than were asked for."""
    read = getattr(getattr(outputs, "selection", outputs), "source", None)
    if read not in (None, normalize(source)):
        raise UserError(
            f"the latest run of {step.name} is of {read}, not of {source}; leave out -P from=, and "
            "what has run for this source is reused"
        )


STEP = Step("main", Parameters, MainOutputs, main)

if __name__ == "__main__":
    STEP.main()
