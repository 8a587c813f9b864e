"""One pipeline: each step is reused or run, and what was done with it is kept."""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import ExecutionException

from steps.endings import Result
from steps.errors import RunAgain, UserError
from steps.pipeline.cache_key import Parts
from steps.pipeline.entry_point import run_entry_point
from steps.pipeline.model_names import MODEL, name_model
from steps.pipeline.outputs import IngestOutputs
from steps.pipeline.pipeline_parameters import PipelineRequest, parameters_of, rename_hints
from steps.pipeline.pipeline_state import StepDone, failed_step_state
from steps.pipeline.reuse import (
    find_interrupted_run,
    find_reusable_run,
    invalid_reason,
    reuse_decision,
)
from steps.pipeline.run_files import read_outputs
from steps.pipeline.runs import LATEST, resolve_input
from steps.pipeline.step import Step
from steps.settings.parameters import RESUME
from steps.settings.profile import Profile

LABELLED = {"from": "", "ingest_labels": "labels.csv"}
"""What the pipeline runs with once its images have labels."""

logger = logging.getLogger("steps")


class PipelineRun:
    """What was asked for, the run ID by step, and what was done so far.

    Args:
        steps: all that there are, in their order.
        profile: where they run.
        parameters: of the pipeline.
        place: the source of its images, as the tables write it.
        free_memory: called before a step that may need the memory.
    """

    def __init__(
        self,
        steps: tuple[Step, ...],
        profile: Profile,
        parameters: Any,
        place: str,
        free_memory: Callable[[], None],
    ):
        self.steps, self.profile, self.parameters = steps, profile, parameters
        self.place, self.free_memory = place, free_memory
        self.request = PipelineRequest.parse(parameters, tuple(step.name for step in steps))
        self.runs: dict[str, str] = {}
        self.done: list[StepDone] = []

    def run_or_reuse(self, step: Step) -> None:
        """Reuse or run one step; add its run to the runs, and what was done to the steps done."""
        chosen, profile = parameters_of(step, self.parameters, self.runs), self.profile
        if MODEL in step.settings and not profile.model:
            profile = profile.named(self.model())
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

    def model(self) -> str:
        """Return the profile's model, or the one that is named after the source of its images."""
        if self.profile.model:
            return self.profile.model
        ingested = self.runs.get("ingest")
        return name_model(read_outputs(ingested, IngestOutputs).source if ingested else self.place)

    def _find_run(
        self, step: Step, parts: Callable[[], Parts], profile: Profile
    ) -> tuple[Run | None, str]:
        """Return a finished run that stands for the step, or why there is none."""
        if self.request.skips(step.name):
            run_id = resolve_input(step.name, LATEST)
            first = next(other for other in self.steps if other.name == self.request.start)
            read_next = step.name in first.parameters.input_names()
            if read_next and (reason := invalid_reason(run_id, step, profile)):
                return None, reason
            if self.parameters.source != type(self.parameters).model_fields["source"].default:
                _require_source(
                    read_outputs(run_id, step.outputs), step, self.parameters.source, self.place
                )
            return mlflow.get_run(run_id), ""
        if self.request.requires(step.name):
            return None, "it was asked for"
        return find_reusable_run(step, parts(), profile)

    def _run(self, step: Step, chosen: Any) -> Run:
        """Run the step; if it fails or is stopped, add that to the steps done."""
        if step.frees_memory:
            self.free_memory()
        try:
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


def _require_source(outputs: Any, step: Step, source: str, place: str) -> None:
    """Raise an error if the latest run of a skipped step is of other images than were asked for."""
    read = getattr(getattr(outputs, "selection", outputs), "source", None)
    if read not in (None, place):
        raise UserError(
            f"the latest run of {step.name} is of {read}, not of {source}; leave out -P from=, and "
            "what has run for this source is reused"
        )
