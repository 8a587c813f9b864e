"""Inspect: the newest run of the whole chain, in the terminal."""

import mlflow
from pydantic import Field

from steps.settings.parameters import StepParameters
from steps.tracking.chain import lines
from steps.tracking.outputs import InspectOutputs, MainOutputs
from steps.tracking.step import Step, StepRun

FIGURES = ("images", "quarantined", "validation_accuracy", "test_accuracy", "max_difference")


class Parameters(StepParameters):
    """Show what a run of the chain did, and what came out of each of its steps."""

    main_run_id: str = Field("latest", description="run of main to show")


def inspect(run: StepRun, parameters: Parameters) -> InspectOutputs:
    """Print a line a step, and the figures that its run logged."""
    done = run.read("main", MainOutputs).steps
    print(f"main      run {run.inputs['main']}")
    for line in lines(done):
        print(line)
    figures: dict[str, float] = {}
    for step in done:
        if step.run_id:
            logged = mlflow.get_run(step.run_id).data.metrics
            figures |= {f"{step.step}.{k}": v for k, v in logged.items() if k in FIGURES}
    for name, value in figures.items():
        print(f"  {name:28} {value:g}")
    run.card.table("Figures", ["figure", "value"], [list(item) for item in figures.items()])
    return InspectOutputs(figures=figures)


STEP = Step("inspect", Parameters, InspectOutputs, inspect)

if __name__ == "__main__":
    STEP.main()
