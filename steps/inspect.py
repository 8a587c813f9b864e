"""Inspect: the newest run of the whole chain, in the terminal, however it ended."""

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from pydantic import Field

from steps.errors import UserError
from steps.settings.parameters import TRUE, StepParameters
from steps.tracking.chain import lines, read_unfinished
from steps.tracking.outputs import InspectOutputs, MainOutputs
from steps.tracking.resume import following
from steps.tracking.runs import ENDED, LATEST, experiment_id, resolve_input
from steps.tracking.step import Step, StepRun

FIGURES = ("images", "quarantined", "validation_accuracy", "test_accuracy", "max_difference")
ENDINGS = {"FINISHED": "", "FAILED": ", which failed", "KILLED": ", which was stopped"}

LOOKED_AT = 100
"""Runs of main among which the newest of a chain is sought; the rest of them are dry runs."""


class Parameters(StepParameters):
    """Show what a run of the chain did, and what came out of each of its steps."""

    main_run_id: str = Field(
        LATEST, description="run of main to show; latest: the newest that was no dry run"
    )


def inspect(run: StepRun, parameters: Parameters) -> InspectOutputs:
    """Print a line a step, why the chain ended early if it did, and the figures of its steps."""
    chain = mlflow.get_run(run.inputs["main"])
    left = None
    if chain.info.status == "FINISHED":
        done = run.read("main", MainOutputs).steps
    else:
        left = read_unfinished(chain.info.run_id)
        done = left.steps if left else []
    print(f"main      run {chain.info.run_id}{ENDINGS[chain.info.status]}")
    for line in lines(done):
        print(line)
    if chain.info.status == "FAILED" and not any(step.failed for step in done):
        print(f"failed: {chain.data.tags.get('failure', 'see the card of its run')}")
    figures: dict[str, float] = {}
    for step in done:
        if step.run_id:
            logged = mlflow.get_run(step.run_id).data.metrics
            figures |= {f"{step.step}.{k}": v for k, v in logged.items() if k in FIGURES}
    for name, value in figures.items():
        print(f"  {name:28} {value:g}")
    if left:
        run.card.next_command = left.next_command
        print(f"go on with: {left.next_command}")
    run.card.table("Figures", ["figure", "value"], [list(item) for item in figures.items()])
    return InspectOutputs(figures=figures)


def _resolve(step: str, wanted: str) -> str:
    """As for any other step, but a run that failed will do, and a dry run is not the latest."""
    return _newest_chain() if wanted == LATEST else resolve_input(step, wanted, ENDED)


def _newest_chain() -> str:
    """The newest run of main that went down the chain, to its end or not."""
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
    raise UserError(f"the chain has not run here yet; run: {following('main')}")


def _is_dry(run: Run) -> bool:
    return run.data.params.get("dry_run", "").lower() in TRUE  # as it was typed


STEP = Step("inspect", Parameters, InspectOutputs, inspect, resolve=_resolve)

if __name__ == "__main__":
    STEP.main()
