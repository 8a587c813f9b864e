"""The lock of a registered model that a run holds while it moves an alias of it.

MLflow sets an alias without a check of what it named before.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from steps.errors import UserError
from steps.pipeline.tracking_store import ask_store

LOCK = "lock."
LOCK_SECONDS = 60.0
"""An older lock is of a run that was killed: what needs a lock takes seconds."""
POLL_SECONDS = 0.3

logger = logging.getLogger("steps")


@contextmanager
def lock_aliases(model: str, run_id: str) -> Iterator[None]:
    """Lock a registered model's aliases for the length of a block.

    Each run writes a tag of its own and then looks for others', so of two at least one sees the
    other. The one with the greater ID removes its tag until it sees none; the other waits until
    it is alone. An alias may have moved meanwhile: read it again inside the block.

    Args:
        model: the registered model's name; it has to exist.
        run_id: the run that takes the lock.

    Raises:
        UserError: another run has held the lock for minutes.
    """
    client = MlflowClient()
    own = LOCK + run_id
    client.set_registered_model_tag(model, own, str(time.time()))
    try:
        _wait_until_alone(client, model, own)
        yield
    finally:
        try:
            client.delete_registered_model_tag(model, own)
        except MlflowException as error:  # without the registry the lock expires by itself
            logger.warning("the lock on %s stays for %.0f s: %s", model, LOCK_SECONDS, error)


def _wait_until_alone(client: MlflowClient, model: str, own: str) -> None:
    deadline = time.monotonic() + 3 * LOCK_SECONDS

    def others() -> list[str]:
        found = _other_locks(client, model, own)
        if found and time.monotonic() > deadline:
            raise UserError(
                f"run {min(found).removeprefix(LOCK)} is moving an alias of {model}; wait until "
                "it ends and run again"
            )
        return found

    while found := others():
        if min(found) < own:
            client.delete_registered_model_tag(model, own)
            while others():
                time.sleep(POLL_SECONDS)
        else:
            time.sleep(POLL_SECONDS)
        # set it again, or renew it before it expires
        client.set_registered_model_tag(model, own, str(time.time()))


def _other_locks(client: MlflowClient, model: str, own: str) -> list[str]:
    tags = client.get_registered_model(model).tags
    return [
        key
        for key, since in tags.items()
        if key.startswith(LOCK)
        and key != own
        and abs(time.time() - float(since)) < LOCK_SECONDS
        and _is_running(client, key.removeprefix(LOCK))
    ]


def _is_running(client: MlflowClient, run_id: str) -> bool:
    run = ask_store(client.get_run, run_id)
    return run is not None and run.info.status == "RUNNING"
