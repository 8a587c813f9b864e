"""The runs of an experiment: which one a parameter means, which are finished or active."""

from collections.abc import Iterator
from contextlib import suppress

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from steps.errors import RunStep, UserError
from steps.settings.parameters import run_id_parameter

LATEST = "latest"
"""The value of a run ID that means the newest finished run of its step."""
NONE = "none"
"""The value of a run ID that means no run."""
FINISHED = ("FINISHED",)
ENDED = (*FINISHED, "FAILED", "KILLED")


def resolve_input(step: str, wanted: str, statuses: tuple[str, ...] = FINISHED) -> str:
    """Return the ID of the run that a parameter ``<step>_run_id`` means.

    Args:
        step: the step that made it.
        wanted: a run ID, or ``latest`` for the newest finished run of the step in the
            experiment.
        statuses: allowed for a run that is named by its ID.

    Raises:
        UserError: there is no such run, it is of another step, or it did not finish.
    """
    if wanted == LATEST:
        for run in finished_runs(step, count=1):
            return str(run.info.run_id)
        raise UserError(f"{step} has no finished run yet", RunStep(step))
    parameter = run_id_parameter(step)
    another = f"pass -P {parameter}=<ID of a run of {step}> or latest"
    try:
        run = MlflowClient().get_run(wanted)
    except MlflowException as error:
        raise UserError(f"there is no run {wanted!r}; {another}") from error
    if run.info.lifecycle_stage == "deleted":
        raise UserError(
            f"run {wanted} was deleted; pass -P {parameter}=latest, or restore it: "
            f"mlflow runs restore --run-id {wanted}"
        )
    made_by = run.data.tags.get("step")
    if made_by != step:
        made_by = made_by or "no step of this project"
        raise UserError(f"run {wanted} is of {made_by}, not of {step}; {another}")
    if run.info.status not in statuses:
        raise UserError(f"run {wanted} of {step} did not finish ({run.info.status})", RunStep(step))
    return wanted


def finished_runs(step: str, count: int, cache_key: str | None = None) -> list[Run]:
    """Return the newest finished runs of a step, all or those of one cache key."""
    same_key = f" and tags.cache_key = '{cache_key}'" if cache_key else ""
    return newest_runs(f"tags.step = '{step}' and attributes.status = 'FINISHED'{same_key}", count)


def interrupted_runs(step: str, count: int, cache_key: str) -> list[Run]:
    """Return the newest runs of a step and a cache key that failed or were stopped."""
    ended = "attributes.status != 'FINISHED' and attributes.status != 'RUNNING'"
    same_key = f"tags.cache_key = '{cache_key}'"
    return newest_runs(f"tags.step = '{step}' and {ended} and {same_key}", count)


def newest_runs(condition: str, count: int = 1000) -> list[Run]:
    """Return so many runs of the active run's experiment that fit a condition, newest first."""
    found = MlflowClient().search_runs(
        [experiment_id()], condition, max_results=count, order_by=["attributes.start_time DESC"]
    )
    return list(found)


def all_runs() -> Iterator[Run]:
    """Yield the runs of all steps, in all experiments, also deleted ones."""
    client = MlflowClient()
    experiments = client.search_experiments(view_type=ViewType.ALL)
    ids = [experiment.experiment_id for experiment in experiments]
    page = client.search_runs(ids, "tags.step != ''", ViewType.ALL)
    yield from page
    while page.token:
        page = client.search_runs(ids, "tags.step != ''", ViewType.ALL, page_token=page.token)
        yield from page


def newest_nested(step: str) -> Run | None:
    """Return the newest run of a step nested in the active run, whatever its status."""
    nested = nested_in(active_run().info.run_id)
    return next(iter(newest_runs(f"{nested} and tags.step = '{step}'", count=1)), None)


RESUMED = "resumed"
"""Tag of a run that resumes an interrupted one: the ID of that one."""


def resumed_by(run_id: str) -> list[str]:
    """Return the runs that a run resumes, the last one first, up to one that was deleted."""
    before: list[str] = []
    with suppress(MlflowException):
        run = MlflowClient().get_run(run_id)
        while earlier := run.data.tags.get(RESUMED):
            run = MlflowClient().get_run(earlier)
            before.append(earlier)
    return before


def nested_in(run_id: str) -> str:
    """Return the condition by which ``search_runs`` finds the runs nested in a run."""
    return f"tags.`mlflow.parentRunId` = '{run_id}'"


def experiment_id() -> str:
    """Return the ID of the active run's experiment."""
    return str(active_run().info.experiment_id)


def active_run() -> Run:
    """Return the active run, which there is in code that a step calls."""
    run = mlflow.active_run()
    if run is None:
        raise RuntimeError("no run is active")
    return run
