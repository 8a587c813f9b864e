"""How a failed run ends: with a report that says why, and without nested runs that stay RUNNING."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run

from steps.endings import Result
from steps.errors import UserError
from steps.pipeline.commands import Commands
from steps.pipeline.disk_space import describe_full_disk
from steps.pipeline.outages import describe_outage, fail_fast
from steps.pipeline.report import Report
from steps.pipeline.run_files import REPORT_FILE
from steps.pipeline.runs import nested_in, newest_runs
from steps.pipeline.signals import keep_status
from steps.settings.profile import Profile

logger = logging.getLogger("steps")


@contextmanager
def end_run_on_error(
    run: Run, report: Report, commands: Commands, profile: Profile
) -> Iterator[None]:
    """End the run, and those nested in it, as FAILED or KILLED if the block fails or is stopped.

    The terminal, the report, or the error's last line names the command that resumes the step.

    Args:
        run: the open run.
        report: of the run; logged with the failure on it.
        commands: of the step.
        profile: says where the step writes.
    """
    try:
        yield
    except KeyboardInterrupt:
        logger.error("%s: stopped; resume with: %s", report.step, commands.resume())
        _end_nested(report.run_id, "KILLED")
        mlflow.set_tag("result", Result.STOPPED)
        mlflow.end_run("KILLED")
        keep_status(run)
        raise
    except Exception as error:
        if away := describe_fault(error, profile):
            with fail_fast(), suppress(Exception):  # the run may be out of reach too
                end_as_failed(report.step, UserError(away))
            raise
        tags = {"result": Result.FAILED.value}
        if isinstance(error, UserError):
            commands.add_to(error)
            report.failure = str(error)
            tags = {"result": error.result, "failure": report.failure}
        else:
            report.failure = traceback.format_exc()
            error.add_note(f"{report.step} failed; fix it, then resume with: {commands.resume()}")
        report.next_command = commands.resume()
        mlflow.log_text(report.html(), REPORT_FILE)
        _end_nested(report.run_id, "FAILED")
        mlflow.set_tags(tags)
        raise


def describe_fault(error: BaseException, profile: Profile) -> str | None:
    """Return which store is away, or which disk is full, if that caused an error; else None."""
    return describe_outage(error) or describe_full_disk(error, (profile.lake, profile.cache))


def end_as_failed(step: str, error: UserError) -> None:
    """End the active run as FAILED, tagged with step, result, and the line that says why."""
    try:
        mlflow.set_tags({"step": step, "result": error.result, "failure": str(error)})
    finally:
        mlflow.end_run("FAILED")


def _end_nested(run_id: str, status: str) -> None:
    """End the nested runs that are still RUNNING, such as the trials of a search."""
    for nested in newest_runs(f"{nested_in(run_id)} and attributes.status = 'RUNNING'"):
        MlflowClient().set_terminated(nested.info.run_id, status)
