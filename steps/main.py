"""Main: the whole pipeline, from the landing zone to a released model, reusing finished runs."""

if __name__ == "__main__":  # before the imports below
    from dataclasses import replace
    from functools import partial

    from steps.ingestion.head_start import begun_session

    with begun_session("main") as begun:
        from steps import main as step  # noqa: PLW0406  which runs as __main__ here

        replace(step.STEP, run=partial(step.main, begun=begun)).main()
    raise SystemExit

import logging
from contextlib import suppress
from typing import Any, Literal

import mlflow
from pydantic import Field, create_model

from steps import export, ingest, promote, register, train, tune
from steps.dataset.own_split import source_with_test
from steps.endings import Result
from steps.errors import UserError
from steps.evaluation.miss_rate import Wish, require_images
from steps.ingestion.counts import describe_classes
from steps.lake.early_session import EarlySession
from steps.lake.session import SharedSession
from steps.landing.place import normalize
from steps.pipeline.model_names import MODEL
from steps.pipeline.outages import fail_fast
from steps.pipeline.outputs import IngestOutputs, Outputs, RegisterOutputs
from steps.pipeline.pipeline_parameters import step_fields
from steps.pipeline.pipeline_run import PipelineRun
from steps.pipeline.pipeline_state import MainOutputs, log_unfinished, pipeline_ending
from steps.pipeline.run_files import read_outputs
from steps.pipeline.runs import finished_runs
from steps.pipeline.step import Step, StepRun
from steps.registry.aliases import CHAMPION, is_released
from steps.reports.main import fill_report
from steps.training.plan_parameters import NetworkParameters

logger = logging.getLogger("steps")

PIPELINE = tuple(module.STEP for module in (ingest, tune, train, register, promote, export))

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
    """Make the parameters of this entry point: its own, and those of each step."""
    about = OwnParameters.__doc__
    fields: dict[str, Any] = {"from": (str, _FROM), **step_fields(PIPELINE, OwnParameters)}
    return create_model("Parameters", __base__=OwnParameters, __doc__=about, **fields)


Parameters = make_main_parameters()


def main(run: StepRun, parameters: Any, begun: EarlySession | None = None) -> MainOutputs:
    """Go down the pipeline: reuse a finished run of the same key, or run the step."""
    source, test = source_with_test(parameters.source, parameters.test)
    # promote ends well, so that its comparison is reused; it is the pipeline that fails
    given = parameters.model_copy(update={"source": source, "test": test, "on_refusal": "finish"})
    spark, place = SharedSession(begun), normalize(source)
    pipeline = PipelineRun(PIPELINE, run.profile, given, place, free_memory=spark.stop)
    request, done, ending = pipeline.request, pipeline.done, Outputs()
    try:
        with spark:
            for step in PIPELINE[: len(request.names)]:
                if _leaves_out(pipeline, step, ending.result):
                    continue
                run.commands.to_resume = request.rest(step.name)
                pipeline.run_or_reuse(step)
                if not ending.result.is_refusal:
                    run_id = pipeline.runs.get(step.name)  # a dry run has none
                    ending = read_outputs(run_id, step.outputs) if run_id else Outputs()
                if isinstance(ending, IngestOutputs):  # before tune searches
                    if done[-1].reused:  # else ingest has said it
                        logger.info("%s", describe_classes(ending))
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
    to_score = run.commands.next("device", camera="test-set")
    run.report.next_command = run.commands.resume() if no_model else to_score
    return MainOutputs(runs=pipeline.runs, steps=done, result=result, line=line)


def _leaves_out(pipeline: PipelineRun, step: Step, ending: Result) -> bool:
    """Return whether a step has nothing to do: after a refused challenger, or without a run
    that the steps after it can do without."""
    request = pipeline.request
    if request.skips(step.name) and any(step.name in other.optional for other in PIPELINE):
        return not finished_runs(step.name, count=1)
    if not ending.is_refusal or request.requires(step.name):
        return False
    return ending is Result.NO_MODEL or is_released(pipeline.model(), CHAMPION)


STEP: Step = Step("main", Parameters, MainOutputs, main)
