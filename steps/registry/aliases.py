"""Aliases that one run at a time moves, each move with its reason.

MLflow sets an alias without a check of what it named before. So a run that moves one holds a lock
on the registered model, and every move is kept as a tag of that model:

    python -m steps.registry.aliases package champion
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from steps.errors import RunStep, UserError
from steps.pipeline.commands import Commands
from steps.pipeline.tracking_store import use_tracking_store
from steps.registry.versions import CHAMPION, find, number_by_alias
from steps.settings.parameters import StepParameters
from steps.settings.profile import load_profile

LOCK = "lock."
HISTORY = "history."
LOCK_SECONDS = 60.0
"""An older lock is of a run that was killed: what needs a lock takes seconds."""

REASON_CHARACTERS = 1000
POLL_SECONDS = 0.3

logger = logging.getLogger("steps")


class Move(NamedTuple):
    """A move of an alias from a version (None: it was not set) to another, and why."""

    at: str
    before: str | None
    version: str
    reason: str
    run_id: str


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
    run = find(client.get_run, run_id)
    return run is not None and run.info.status == "RUNNING"


def move_alias(model: str, alias: str, version: str, run_id: str, reason: str) -> None:
    """Let an alias name a version, and keep the reason. Hold :func:`lock_aliases`.

    The reason is written first, so an alias never moves without one. If the run is interrupted in
    between, the history has a move that did not happen, which its next line shows.
    """
    client = MlflowClient()
    before = number_by_alias(model, alias)
    if before == version:
        return
    at = datetime.now(UTC).isoformat(timespec="seconds")
    move = Move(at, before, version, reason[:REASON_CHARACTERS], run_id)
    key = f"{HISTORY}{alias}.{len(history(model, alias)) + 1:06}"
    client.set_registered_model_tag(model, key, json.dumps(move._asdict()))
    client.set_registered_model_alias(model, alias, version)


def history(model: str, alias: str) -> list[Move]:
    """Return the moves of an alias, oldest first.

    Raises:
        UserError: there is no such registered model.
    """
    registered = find(MlflowClient().get_registered_model, model)
    if registered is None:
        raise UserError(
            f"there is no registered model {model!r}: register one first", RunStep("register")
        )
    tags, prefix = registered.tags, f"{HISTORY}{alias}."
    return [Move(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(prefix)]


def _require_history(model: str, alias: str) -> list[Move]:
    """Return the moves of an alias.

    Raises:
        UserError: there is no such alias, or none of its moves was kept.
    """
    if moves := history(model, alias):
        return moves
    registered = MlflowClient().get_registered_model(model)
    if version := registered.aliases.get(alias):
        raise UserError(
            f"{model}@{alias} names version {version} but has no history: it was set outside of "
            "this project"
        )
    moved = {key.split(".")[1] for key in registered.tags if key.startswith(HISTORY)}
    known = ", ".join(sorted(moved | set(registered.aliases))) or "none yet"
    raise UserError(f"{model} has no alias {alias!r}; it has: {known}")


def main(arguments: list[str] | None = None) -> None:
    """Print the history of an alias, one line per move."""
    parser = argparse.ArgumentParser(
        prog="python -m steps.registry.aliases", description="Print the history of an alias."
    )
    parser.add_argument("model", help="name of the registered model")
    parser.add_argument("alias", nargs="?", default=CHAMPION)
    parser.add_argument("--profile", default="local", help="profile that names the registry")
    options = parser.parse_args(arguments)
    try:
        use_tracking_store(load_profile(options.profile))
        moves = _require_history(options.model, options.alias)
    except UserError as error:
        Commands(parameters=StepParameters(profile=options.profile)).add_to(error)
        sys.exit(f"aliases: {error}")
    for move in moves:
        print(  # noqa: T201 - the output of this command
            f"{move.at}  {move.before or '-':>4} → {move.version:<4}  {move.reason}  {move.run_id}"
        )


if __name__ == "__main__":
    main()
