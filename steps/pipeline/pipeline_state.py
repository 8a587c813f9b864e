"""The state of a pipeline run: what became of each step, also if the run did not finish."""

import mlflow
from mlflow.exceptions import MlflowException

from steps.endings import Result
from steps.pipeline.outputs import Outputs, Record
from steps.pipeline.runs import newest_nested

PIPELINE_FILE = "pipeline.json"
"""Artifact of an unfinished pipeline run; a finished one has its ``outputs.json``."""


class StepDone(Record):
    """What became of a step of the pipeline; ``seconds`` is how long its run took."""

    step: str
    run_id: str = ""
    reused: bool = False
    reason: str
    seconds: float = 0
    failed: bool = False
    result: Result = Result.DONE

    @property
    def outcome(self) -> str:
        """What became of it, in a word or two."""
        if self.failed or self.reused:
            return "failed" if self.failed else "reused"
        return "ran" if self.run_id else "would run"

    @property
    def description(self) -> str:
        """What was done with it, and why."""
        if self.failed or self.reused:
            return f"failed: {self.reason}" if self.failed else "reused"
        return f"{'run' if self.run_id else 'would run'}, because {self.reason}"

    @property
    def duration(self) -> str:
        """How long it took; – if it did not run."""
        return f"{self.seconds:.0f} s" if self.seconds else "–"


class MainOutputs(Outputs):
    """The run of each step, by the step's name, and how each came about, in their order."""

    runs: dict[str, str]
    steps: list[StepDone]


class Unfinished(Record):
    """The state of a pipeline that did not finish: its steps, and the command that resumes it."""

    steps: list[StepDone]
    next_command: str


def log_unfinished(done: list[StepDone], next_command: str) -> None:
    """Log the state of the active run, in a file that does not make it a finished one."""
    state = Unfinished(steps=done, next_command=next_command)
    mlflow.log_text(state.model_dump_json(indent=2), PIPELINE_FILE)


def read_unfinished(run_id: str) -> Unfinished | None:
    """Return the pipeline's state that a run left which did not finish; None if it left none."""
    try:
        text = mlflow.artifacts.load_text(f"runs:/{run_id}/{PIPELINE_FILE}")
        return Unfinished.model_validate_json(text)
    except (MlflowException, OSError, ValueError):
        return None


def failed_step_state(step: str) -> StepDone:
    """Return what became of a step that failed or was stopped: its run, its duration, and why."""
    run = newest_nested(step)
    if run is None:
        return StepDone(step=step, failed=True, reason="it did not start")
    default = "it was stopped" if run.info.status == "KILLED" else "see the report of its run"
    ended = run.info.end_time or run.info.start_time
    return StepDone(
        step=step,
        run_id=run.info.run_id,
        reason=run.data.tags.get("failure", default),
        seconds=(ended - run.info.start_time) / 1000,
        failed=True,
        result=Result(run.data.tags.get("result", Result.FAILED)),
    )


def pipeline_ending(done: list[StepDone], last: Outputs, rerun: str) -> tuple[Result, str]:
    """Return how the pipeline ended, and its line: as its last step, or with nothing to do.

    Args:
        done: its steps.
        last: the outputs of the step that ended it.
        rerun: the pipeline's command, which replaces the one that the step names.
    """
    line, run, _ = last.line.partition("; run: ")
    line = line + run + (rerun if run else "")
    if last.result.is_refusal:
        return last.result, line
    if all(step.reused for step in done):
        return Result.REUSED, f"nothing to do: {line}" if line else "nothing to do"
    return last.result, line


def format_steps(done: list[StepDone]) -> list[str]:
    """Return the pipeline as a terminal shows it, one line per step."""
    return [f"{s.step:8}  {s.duration:>8}  {s.run_id or '–':32}  {s.description}" for s in done]
