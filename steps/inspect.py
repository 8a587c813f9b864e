"""Inspect: show the newest run of the whole pipeline in the terminal, whatever its status."""

import mlflow
from pydantic import Field

from steps.errors import RunStep, UserError
from steps.pipeline.outputs import InspectOutputs
from steps.pipeline.pipeline_state import MainOutputs, StepDone, format_steps, read_unfinished
from steps.pipeline.runs import ENDED, LATEST, newest_runs, resolve_input
from steps.pipeline.step import Step, StepRun
from steps.settings.parameters import TRUE, StepParameters

FIGURES = ("images", "quarantined", "validation_accuracy", "test_accuracy", "max_difference")
ENDINGS = {"FINISHED": "", "FAILED": ", which failed", "KILLED": ", which was stopped"}

SEARCHED = 100
"""Runs of main among which the newest that was not a dry run is searched."""


class Parameters(StepParameters):
    """Show what a run of the pipeline did, and the main figures of its steps."""

    main_run_id: str = Field(
        LATEST, description="run of main to show; latest: the newest that was not a dry run"
    )


def inspect(run: StepRun, parameters: Parameters) -> InspectOutputs:
    """Print one line per step, why the pipeline ended early if it did, and the steps' figures."""
    pipeline = mlflow.get_run(run.inputs["main"])
    run_id, status, ending = pipeline.info.run_id, pipeline.info.status, ""
    unfinished = None if status == "FINISHED" else read_unfinished(run_id)
    done = unfinished.steps if unfinished else []
    if status == "FINISHED":
        outputs = run.read("main", MainOutputs)
        done, ending = outputs.steps, outputs.line
    elif status == "FAILED" and not any(step.failed for step in done):
        ending = f"failed: {pipeline.data.tags.get('failure', 'see the report of its run')}"
    lines = [f"main      run {run_id}{ENDINGS[status]}", *format_steps(done)]
    lines += [ending] * bool(ending)
    figures = _figures(done)
    lines += [f"  {name:28} {value:g}" for name, value in figures.items()]
    if unfinished:
        run.report.next_command = unfinished.next_command
        lines.append(f"resume with: {unfinished.next_command}")
    print("\n".join(lines))  # noqa: T201 – this is what the step is for
    return InspectOutputs(figures=figures)


def _figures(done: list[StepDone]) -> dict[str, float]:
    """Return the metrics to show, by step and name."""
    figures: dict[str, float] = {}
    for step in done:
        if step.run_id:
            logged = mlflow.get_run(step.run_id).data.metrics
            figures |= {f"{step.step}.{k}": v for k, v in logged.items() if k in FIGURES}
    return figures


def _resolve(step: str, wanted: str) -> str:
    """Return the run to show: also one that failed, and a dry run only if its ID is given."""
    if wanted != LATEST:
        return resolve_input(step, wanted, ENDED)
    for run in newest_runs("tags.step = 'main' and attributes.status != 'RUNNING'", SEARCHED):
        is_dry = run.data.params.get("dry_run", "").lower() in TRUE  # as it was typed
        # one that was refused before its first step has nothing to show
        if not is_dry and (run.info.status == "FINISHED" or read_unfinished(run.info.run_id)):
            return str(run.info.run_id)
    raise UserError("the pipeline has not run here yet", RunStep("main"))


STEP = Step.of(inspect, resolve=_resolve)

if __name__ == "__main__":
    STEP.main()
