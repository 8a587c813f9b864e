"""Aliases that move one at a time, each move with its reason.

A registry sets an alias without asking what it named before. So whoever moves one holds the
model's claim meanwhile, and every move is kept as a tag of the registered model:

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
from steps.registry.versions import number_by_alias
from steps.settings.parameters import StepParameters
from steps.settings.profile import load_profile

CLAIM = "claim."
HISTORY = "history."
CLAIM_SECONDS = 60.0
"""A claim older than this is of a run that was killed: what is done under one takes seconds."""

REASON_CHARACTERS = 1000
POLL_SECONDS = 0.3

logger = logging.getLogger("steps")


class Move(NamedTuple):
    """One move of an alias: from a version (None: it was not set) to another, and why."""

    at: str
    before: str | None
    version: str
    reason: str
    run_id: str


@contextmanager
def claim(model: str, run_id: str) -> Iterator[None]:
    """Hold a registered model's aliases for the length of a block.

    Each run writes its claim and then looks for others, so of two at least one sees the other.
    The one with the greater ID takes its claim back until it sees none; the other waits until it
    is alone. Whoever comes later has to look what moved meanwhile.

    Args:
        model: the registered model's name; it has to exist.
        run_id: the run that holds it.

    Raises:
        UserError: others have held it for minutes.
    """
    client = MlflowClient()
    mine = CLAIM + run_id
    client.set_registered_model_tag(model, mine, str(time.time()))
    try:
        _wait_until_alone(client, model, mine)
        yield
    finally:
        try:
            client.delete_registered_model_tag(model, mine)
        except MlflowException as error:  # the registry went away: the claim lapses by itself
            logger.warning("the claim on %s stays for %.0f s: %s", model, CLAIM_SECONDS, error)


def _wait_until_alone(client: MlflowClient, model: str, mine: str) -> None:
    until = time.monotonic() + 3 * CLAIM_SECONDS

    def look() -> list[str]:
        others = _others(client, model, mine)
        if others and time.monotonic() > until:
            raise UserError(
                f"run {min(others).removeprefix(CLAIM)} is moving an alias of {model}; see what "
                "it did and run again"
            )
        return others

    while others := look():
        if min(others) < mine:
            client.delete_registered_model_tag(model, mine)
            while look():
                time.sleep(POLL_SECONDS)
        else:
            time.sleep(POLL_SECONDS)
        # anew, or so that it does not grow old
        client.set_registered_model_tag(model, mine, str(time.time()))


def _others(client: MlflowClient, model: str, mine: str) -> list[str]:
    tags = client.get_registered_model(model).tags
    return [
        key
        for key, since in tags.items()
        if key.startswith(CLAIM)
        and key != mine
        and abs(time.time() - float(since)) < CLAIM_SECONDS
        and _is_running(client, key.removeprefix(CLAIM))
    ]


def _is_running(client: MlflowClient, run_id: str) -> bool:
    try:
        return client.get_run(run_id).info.status == "RUNNING"
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


def move_alias(model: str, alias: str, version: str, run_id: str, reason: str) -> None:
    """Let an alias name a version, and keep why. Hold the model's :func:`claim`.

    The reason is written first: cut off in between, a move is listed that did not come about,
    which the next line of the history shows; an alias never moves without a reason.
    """
    client = MlflowClient()
    before = number_by_alias(model, alias)
    if before == version:
        return
    move = Move(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        before=before,
        version=version,
        reason=reason[:REASON_CHARACTERS],
        run_id=run_id,
    )
    number = len(history(model, alias)) + 1
    client.set_registered_model_tag(
        model, f"{HISTORY}{alias}.{number:06}", json.dumps(move._asdict())
    )
    client.set_registered_model_alias(model, alias, version)


def history(model: str, alias: str) -> list[Move]:
    """The moves of an alias, oldest first.

    Raises:
        UserError: there is no such registered model.
    """
    try:
        tags = MlflowClient().get_registered_model(model).tags
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise UserError(
            f"there is no registered model {model!r}: register one first", RunStep("register")
        ) from error
    prefix = f"{HISTORY}{alias}."
    return [Move(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(prefix)]


def _shown(model: str, alias: str) -> list[Move]:
    """The moves of an alias, of which there is one at least.

    Raises:
        UserError: there is no such alias, or none of its moves was kept.
    """
    if moves := history(model, alias):
        return moves
    registered = MlflowClient().get_registered_model(model)
    if version := registered.aliases.get(alias):
        raise UserError(
            f"{model}@{alias} is version {version}, and was set by hand: no move was kept"
        )
    moved = {key.split(".")[1] for key in registered.tags if key.startswith(HISTORY)}
    known = ", ".join(sorted(moved | set(registered.aliases))) or "none yet"
    raise UserError(f"{model} has no alias {alias!r}; there are: {known}")


def main(arguments: list[str] | None = None) -> None:
    """Print the history of an alias, a line a move."""
    parser = argparse.ArgumentParser(
        prog="python -m steps.registry.aliases", description="The history of an alias."
    )
    parser.add_argument("model", help="the registered model")
    parser.add_argument("alias", nargs="?", default="champion")
    parser.add_argument("--profile", default="local", help="says where the registry is")
    options = parser.parse_args(arguments)
    try:
        use_tracking_store(load_profile(options.profile))
        moves = _shown(options.model, options.alias)
    except UserError as error:
        Commands(parameters=StepParameters(profile=options.profile)).add_to(error)
        sys.exit(f"aliases: {error}")
    for move in moves:
        print(
            f"{move.at}  {move.before or '-':>4} → {move.version:<4}  {move.reason}  {move.run_id}"
        )


if __name__ == "__main__":
    main()
