"""How a failed run ends: with a report that says why, and without runs that seem to go on."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run

from steps.errors import UserError
from steps.pipeline.commands import Commands
from steps.pipeline.outages import fail_fast, outage
from steps.pipeline.report import Report
from steps.pipeline.run_files import REPORT_FILE
from steps.pipeline.runs import nested_in
from steps.pipeline.signals import keep_status

logger = logging.getLogger("steps")


@contextmanager
def end_with_status(run: Run, report: Report, commands: Commands) -> Iterator[None]:
    """Around a step's work: if it fails or is stopped, end its run and those nested in it so.

    The terminal, the report, or the error's last line names the command that resumes the step.

    Args:
        run: the open run.
        report: of the run; logged with the failure on it.
        commands: of the step.
    """
    try:
        yield
    except KeyboardInterrupt:
        logger.error("%s: stopped; resume with: %s", report.step, commands.resume())
        _end_nested(run, "KILLED")
        mlflow.end_run("KILLED")
        keep_status(run)
        raise
    except Exception as error:
        if away := outage(error):
            with fail_fast(), suppress(Exception):  # the run may not be reached either
                fail(report.step, away)
            raise
        if isinstance(error, UserError):
            commands.add_to(error)
        report.failure = str(error) if isinstance(error, UserError) else traceback.format_exc()
        report.next_command = commands.resume()
        mlflow.log_text(report.html(), REPORT_FILE)
        _end_nested(run, "FAILED")
        if isinstance(error, UserError):
            fail(report.step, str(error))
        else:
            error.add_note(f"{report.step} failed; fix it, then resume with: {commands.resume()}")
        raise


def fail(step: str, failure: str) -> None:
    """End the active run as FAILED, with the step and the one line that says why as its tags."""
    try:
        mlflow.set_tags({"step": step, "failure": failure})
    finally:
        mlflow.end_run("FAILED")


def _end_nested(run: Run, status: str) -> None:
    """End what still runs below a run, such as the trials of a search."""
    client = MlflowClient()
    condition = f"{nested_in(run.info.run_id)} and attributes.status = 'RUNNING'"
    for nested in client.search_runs([run.info.experiment_id], condition):
        client.set_terminated(nested.info.run_id, status)
