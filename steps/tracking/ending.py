"""How a step's run ends badly: it leaves a card that says why, and nothing that seems to go on."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run

from steps.errors import UserError
from steps.tracking.card import Card
from steps.tracking.outage import outage, without_patience
from steps.tracking.resume import onward
from steps.tracking.run_files import CARD_FILE
from steps.tracking.runs import nested_in
from steps.tracking.stopped import keep_status

logger = logging.getLogger("steps")


@contextmanager
def ending(run: Run, card: Card) -> Iterator[None]:
    """Around a step's work: where it fails or is stopped, so does its run, and what is below it.

    How to go on from there is said: in the terminal, on the card, or in an error's last line.

    Args:
        run: the open run.
        card: of the run; kept with the failure on it.
    """
    try:
        yield
    except KeyboardInterrupt:
        logger.error("%s: stopped; go on with: %s", card.step, onward())
        _end_nested(run, "KILLED")
        mlflow.end_run("KILLED")
        keep_status(run)
        raise
    except Exception as error:
        if away := outage(error):
            with without_patience(), suppress(Exception):  # the run may not be reached either
                fail(card.step, away)
            raise
        card.failure = str(error) if isinstance(error, UserError) else traceback.format_exc()
        card.next_command = onward()
        mlflow.log_text(card.html(), CARD_FILE)
        _end_nested(run, "FAILED")
        if isinstance(error, UserError):
            fail(card.step, str(error))
        else:
            error.add_note(f"{card.step} failed; mend it, and go on with: {onward()}")
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
