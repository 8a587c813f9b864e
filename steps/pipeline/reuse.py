"""Which finished run can stand for a step."""

from mlflow.entities import Run

from steps.errors import UserError
from steps.pipeline.cache_key import Parts, cache_key, differences, each_difference
from steps.pipeline.run_files import missing_files_error, read_key_parts, read_outputs
from steps.pipeline.runs import finished_runs, runs_that_broke_off
from steps.pipeline.step import Step
from steps.settings.profile import Profile

CANDIDATES = 3
"""Runs of the same key that are looked at, the newest first."""

COMPARED = 12
"""Finished runs that a step without a hit is compared with, the newest first."""


def reusable(step: Step, parts: Parts, profile: Profile) -> tuple[Run | None, str]:
    """The newest finished run of the same key whose outputs still stand.

    Args:
        step: which step.
        parts: of its key.
        profile: where it would run.

    Returns:
        The run, or None and the reason why there is none.
    """
    lost = ""
    for candidate in finished_runs(step.name, CANDIDATES, cache_key(parts)):
        run_id = candidate.info.run_id
        try:
            gone = missing_files_error(run_id) or step.invalid_reason(
                read_outputs(run_id, step.outputs), profile
            )
        except UserError as error:
            gone = str(error)
        if gone is None:
            return candidate, ""
        lost = gone
    return None, lost or _reason(step.name, parts)


def cut_off(step: Step, parts: Parts, profile: Profile) -> str | None:
    """The newest run of the same key that ended before its time and left something to go on from.

    Args:
        step, parts, profile: as for :func:`reusable`.

    Returns:
        Its ID, or None.
    """
    for run in runs_that_broke_off(step.name, CANDIDATES, cache_key(parts)):
        if step.resumable(run.info.run_id, profile):
            return run.info.run_id
    return None


def _reason(step: str, parts: Parts) -> str:
    """What differs from the finished run that is nearest: of those as near, from the newest."""
    runs = finished_runs(step, COMPARED)
    if not runs:
        return "it has not run yet"
    known = [before for run in runs if (before := read_key_parts(run.info.run_id))]
    nearest = min(known, key=lambda old: len(each_difference(old, parts)), default={})
    return differences(nearest, parts)
