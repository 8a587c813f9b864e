"""Inspect: the newest run of the whole pipeline, in the terminal, however it ended."""

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from pydantic import Field

from steps.errors import RunStep, UserError
from steps.pipeline.outputs import InspectOutputs, MainOutputs
from steps.pipeline.pipeline_state import lines, read_unfinished
from steps.pipeline.runs import ENDED, LATEST, experiment_id, resolve_input
from steps.pipeline.step import Step, StepRun
from steps.settings.parameters import TRUE, StepParameters

FIGURES = ("images", "quarantined", "validation_accuracy", "test_accuracy", "max_difference")
ENDINGS = {"FINISHED": "", "FAILED": ", which failed", "KILLED": ", which was stopped"}

LOOKED_AT = 100
"""Runs of main among which the newest of a pipeline is sought; the rest of them are dry runs."""


class Parameters(StepParameters):
    """Show what a run of the pipeline did, and what came out of each of its steps."""

    main_run_id: str = Field(
        LATEST, description="run of main to show; latest: the newest that was no dry run"
    )


def inspect(run: StepRun, parameters: Parameters) -> InspectOutputs:
    """Print a line a step, why the pipeline ended early if it did, and the figures of its steps."""
    pipeline = mlflow.get_run(run.inputs["main"])
    left = None
    if pipeline.info.status == "FINISHED":
        done = run.read("main", MainOutputs).steps
    else:
        left = read_unfinished(pipeline.info.run_id)
        done = left.steps if left else []
    print(f"main      run {pipeline.info.run_id}{ENDINGS[pipeline.info.status]}")
    for line in lines(done):
        print(line)
    if pipeline.info.status == "FAILED" and not any(step.failed for step in done):
        print(f"failed: {pipeline.data.tags.get('failure', 'see the report of its run')}")
    figures: dict[str, float] = {}
    for step in done:
        if step.run_id:
            logged = mlflow.get_run(step.run_id).data.metrics
            figures |= {f"{step.step}.{k}": v for k, v in logged.items() if k in FIGURES}
    for name, value in figures.items():
        print(f"  {name:28} {value:g}")
    if left:
        run.report.next_command = left.next_command
        print(f"resume with: {left.next_command}")
    run.report.table("Figures", ["figure", "value"], [list(item) for item in figures.items()])
    return InspectOutputs(figures=figures)


def _resolve(step: str, wanted: str) -> str:
    """As for any other step, but a run that failed will do, and a dry run is not the latest."""
    return _newest_pipeline() if wanted == LATEST else resolve_input(step, wanted, ENDED)


def _newest_pipeline() -> str:
    """The newest run of main that went down the pipeline, to its end or not."""
    runs = MlflowClient().search_runs(
        [experiment_id()],
        "tags.step = 'main' and attributes.status != 'RUNNING'",
        max_results=LOOKED_AT,
        order_by=["attributes.start_time DESC"],
    )
    for run in runs:
        # one that was refused before its first step left nothing to show
        if not _is_dry(run) and (run.info.status == "FINISHED" or read_unfinished(run.info.run_id)):
            return run.info.run_id
    raise UserError("the pipeline has not run here yet", RunStep("main"))


def _is_dry(run: Run) -> bool:
    return run.data.params.get("dry_run", "").lower() in TRUE  # as it was typed


STEP = Step("inspect", Parameters, InspectOutputs, inspect, resolve=_resolve)

if __name__ == "__main__":
    STEP.main()
