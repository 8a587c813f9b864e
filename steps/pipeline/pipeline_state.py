"""The state of a pipeline run: what became of each step, also if the run did not finish."""

import mlflow
from mlflow.exceptions import MlflowException

from steps.pipeline.outputs import Outputs, StepDone
from steps.pipeline.runs import newest_nested

PIPELINE_FILE = "pipeline.json"
"""What an unfinished pipeline run leaves; a finished one has it in ``outputs.json``."""


class Unfinished(Outputs):
    """The steps up to where the pipeline ended, and the command that goes on from there."""

    steps: list[StepDone]
    next_command: str


def keep_unfinished(done: list[StepDone], next_command: str) -> None:
    """Leave what the active run came to, in a file that makes it no finished run."""
    left = Unfinished(steps=done, next_command=next_command)
    mlflow.log_text(left.model_dump_json(indent=2), PIPELINE_FILE)


def read_unfinished(run_id: str) -> Unfinished | None:
    """What a run came to that did not finish; None where it left nothing of it."""
    try:
        text = mlflow.artifacts.load_text(f"runs:/{run_id}/{PIPELINE_FILE}")
        return Unfinished.model_validate_json(text)
    except (MlflowException, OSError, ValueError):
        return None


def failed(step: StepDone) -> StepDone:
    """A step that failed or was stopped below the active run: its run, after how long, and why."""
    run = newest_nested(step.step)
    if run is None:
        return step.model_copy(update={"failed": True, "reason": "it did not start"})
    stopped = run.info.status == "KILLED"
    why = run.data.tags.get("failure", "it was stopped" if stopped else "see the report of its run")
    seconds = ((run.info.end_time or run.info.start_time) - run.info.start_time) / 1000
    came_to = {"failed": True, "run_id": run.info.run_id, "reason": why, "seconds": seconds}
    return step.model_copy(update=came_to)


def says(run_id: str | None, reason: str) -> str:
    """What is done with a step: ``reuse run …`` or ``run, because …``."""
    return f"reuse run {run_id}" if run_id else f"run, because {reason}"


def lines(done: list[StepDone]) -> list[str]:
    """The pipeline as a terminal shows it, a line a step."""
    return [
        f"{step.step:8}  {time_of(step):>8}  {step.run_id or '–':32}  {what_was_done(step)}"
        for step in done
    ]


def kind(step: StepDone) -> tuple[str, str]:
    """The class of a step's box, and the word in it."""
    if step.failed:
        return "failed", "failed"
    if step.reused:
        return "reused", "reused"
    return ("ran", "ran") if step.run_id else ("waits", "would run")


def time_of(step: StepDone) -> str:
    return f"{step.seconds:.0f} s" if step.seconds else "–"


def what_was_done(step: StepDone) -> str:
    if step.failed:
        return f"failed: {step.reason}"
    if step.reused:
        return "reused"
    return f"{'run' if step.run_id else 'would run'}, because {step.reason}"
