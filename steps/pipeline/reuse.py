"""Which earlier run replaces a step, or is resumed: the one place that compares runs by key."""

from mlflow.entities import Run

from steps.errors import UserError
from steps.pipeline.cache_key import Parts, cache_key, differences, each_difference
from steps.pipeline.run_files import missing_files_error, read_key_parts, read_outputs
from steps.pipeline.runs import finished_runs, interrupted_runs
from steps.pipeline.step import Step
from steps.settings.profile import Profile

CANDIDATES = 3
"""Runs of the same key that are checked, the newest first."""

COMPARED = 12
"""Finished runs that a step is compared with if none has its key, the newest first."""


def find_reusable_run(step: Step, parts: Parts, profile: Profile) -> tuple[Run | None, str]:
    """Return the newest finished run of the same key whose outputs are intact.

    Args:
        step: which step.
        parts: of its key.
        profile: where it would run.

    Returns:
        The run, or None and the reason why there is none.
    """
    invalid = ""
    for candidate in finished_runs(step.name, CANDIDATES, cache_key(parts)):
        problem = invalid_reason(candidate.info.run_id, step, profile)
        if problem is None:
            return candidate, ""
        invalid = invalid or problem
    return None, invalid or _difference(step.name, parts)


def find_interrupted_run(step: Step, parts: Parts, profile: Profile) -> str | None:
    """Return the ID of the newest interrupted run of the same key that can be resumed, or None.

    Args:
        step, parts, profile: as for :func:`find_reusable_run`.
    """
    ids = (run.info.run_id for run in interrupted_runs(step.name, CANDIDATES, cache_key(parts)))
    return next((run_id for run_id in ids if step.resumable(run_id, profile)), None)


def invalid_reason(run_id: str, step: Step, profile: Profile) -> str | None:
    """Return why the outputs of a run can no longer be used, or None."""
    try:
        if missing := missing_files_error(run_id):
            return missing
        return step.invalid_reason(read_outputs(run_id, step.outputs), profile)
    except UserError as error:
        return str(error)


def _difference(step: str, parts: Parts) -> str:
    """Return what differs from the most similar finished run; of two as similar, the newer."""
    runs = finished_runs(step, COMPARED)
    if not runs:
        return "it has not run yet"
    known = [before for run in runs if (before := read_key_parts(run.info.run_id))]
    nearest = min(known, key=lambda old: len(each_difference(old, parts)), default={})
    return differences(nearest, parts)


def reuse_decision(run_id: str | None, reason: str) -> str:
    """Return what is done with a step: ``reuse run …`` or ``run, because …``."""
    return f"reuse run {run_id}" if run_id else f"run, because {reason}"
