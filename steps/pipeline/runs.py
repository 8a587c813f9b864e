"""The runs of an experiment: which one is meant, which are finished, which is active."""

from contextlib import suppress

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from steps.errors import RunStep, UserError

LATEST = "latest"
FINISHED = ("FINISHED",)
ENDED = (*FINISHED, "FAILED", "KILLED")


def resolve_input(step: str, wanted: str, statuses: tuple[str, ...] = FINISHED) -> str:
    """The ID of the run that a parameter ``<step>_run_id`` means.

    Args:
        step: the step that made it.
        wanted: a run ID, or ``latest`` for the newest finished run of the step in the
            experiment.
        statuses: that a run named by its ID may have; what only looks at it may take one that
            failed.

    Raises:
        UserError: there is no such run, it is of another step, or it did not finish.
    """
    if wanted == LATEST:
        runs = finished_runs(step, count=1)
        if not runs:
            raise UserError(f"{step} has no finished run yet", RunStep(step))
        return runs[0].info.run_id
    try:
        run = MlflowClient().get_run(wanted)
    except MlflowException as error:
        raise UserError(
            f"there is no run {wanted!r}; pass -P {step}_run_id=<ID of a run of {step}> or latest"
        ) from error
    if run.info.lifecycle_stage == "deleted":
        raise UserError(
            f"run {wanted} was deleted; pass -P {step}_run_id=latest, or restore it: "
            f"mlflow runs restore --run-id {wanted}"
        )
    made_by = run.data.tags.get("step")
    if made_by != step:
        raise UserError(
            f"run {wanted} is of {made_by or 'no step of this project'}, not of {step}; "
            f"pass -P {step}_run_id=<ID of a run of {step}> or latest"
        )
    if run.info.status not in statuses:
        raise UserError(f"run {wanted} of {step} did not finish ({run.info.status})", RunStep(step))
    return wanted


def finished_runs(step: str, count: int, cache_key: str | None = None) -> list[Run]:
    """The newest finished runs of a step in the experiment of the active run, newest first."""
    return _newest(f"tags.step = '{step}' and attributes.status = 'FINISHED'", count, cache_key)


def runs_that_broke_off(step: str, count: int, cache_key: str) -> list[Run]:
    """The newest of those that failed or were stopped, newest first."""
    ended = "attributes.status != 'FINISHED' and attributes.status != 'RUNNING'"
    return _newest(f"tags.step = '{step}' and {ended}", count, cache_key)


def _newest(condition: str, count: int, cache_key: str | None) -> list[Run]:
    if cache_key:
        condition += f" and tags.cache_key = '{cache_key}'"
    return MlflowClient().search_runs(
        [experiment_id()], condition, max_results=count, order_by=["attributes.start_time DESC"]
    )


def newest_nested(step: str) -> Run | None:
    """The newest run of a step below the active run, however it ended."""
    run = active_run()
    condition = f"{nested_in(run.info.run_id)} and tags.step = '{step}'"
    found = MlflowClient().search_runs([run.info.experiment_id], condition, max_results=1)
    return found[0] if found else None


RESUMED = "resumed"
"""Tag of a run that goes on from one that was cut off: that one's ID."""


def resumed_by(run_id: str) -> list[str]:
    """The runs that a run goes on from, the last one first; those that are gone end the list."""
    before: list[str] = []
    with suppress(MlflowException):
        run = MlflowClient().get_run(run_id)
        while earlier := run.data.tags.get(RESUMED):
            run = MlflowClient().get_run(earlier)
            before.append(earlier)
    return before


def nested_in(run_id: str) -> str:
    """What ``search_runs`` finds the runs below a run by."""
    return f"tags.`mlflow.parentRunId` = '{run_id}'"


def experiment_id() -> str:
    """The experiment of the active run."""
    return active_run().info.experiment_id


def active_run() -> Run:
    """The active run, in code that a step calls and where there is one."""
    run = mlflow.active_run()
    if run is None:
        raise RuntimeError("no run is active")
    return run
