"""Aliases: which version one names, and its moves, each with its reason.

Every move is kept as a tag of the registered model:

    python -m steps.registry.aliases package champion
"""

import argparse
import json
import sys
from datetime import UTC, datetime
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from steps.endings import Result
from steps.errors import RunStep, UserError
from steps.pipeline.commands import Commands
from steps.pipeline.tracking_store import ask_store, use_tracking_store
from steps.registry.versions import COMPARED, HIDDEN, REFUSED, find_registered, onnx_version
from steps.settings.parameters import RELEASED, StepParameters
from steps.settings.profile import load_profile

CHAMPION = "champion"
CHALLENGER = "challenger"

HISTORY = "history."
REASON_CHARACTERS = 1000


class Move(NamedTuple):
    """A move of an alias from a version (None: it was not set) to another, and why."""

    at: str
    before: str | None
    version: str
    reason: str
    run_id: str


def version_by_alias(model: str, alias: str) -> ModelVersion | None:
    """Return the version that an alias names; None if there is no such model or alias."""
    ask = MlflowClient().get_model_version_by_alias
    return ask_store(ask, model, alias, missing=("INVALID_PARAMETER_VALUE", HIDDEN))


def unreadable_error(model: str) -> str:
    """Return that the model of an alias is not registered, or hidden from this user."""
    return f"there is no registered model {model!r}, or this user may not read it"


def number_by_alias(model: str, alias: str) -> str | None:
    """Return the number of the version that an alias names; None if there is none."""
    version = version_by_alias(model, alias)
    return str(version.version) if version else None


def require_version(model: str, alias: str, made_by: str) -> ModelVersion:
    """Return the version that an alias names.

    Args:
        model: the registered model's name.
        alias: such as ``champion``.
        made_by: the step that sets the alias, which the error names.

    Raises:
        UserError: there is no such model or alias.
    """
    version = version_by_alias(model, alias)
    if version is None:
        raise _missing_error(model, alias, made_by)
    return version


def _missing_error(model: str, alias: str, made_by: str) -> UserError:
    """Return the error of an alias that no step has set, or that one has refused to set."""
    argument = alias_argument(alias)
    source = model.removesuffix(RELEASED)
    refused = version_by_alias(source, CHALLENGER)
    compared = refused.tags.get(COMPARED, "") if refused else ""
    if refused and compared.startswith(REFUSED) and version_by_alias(source, alias) is None:
        return UserError(
            f"no model yet: {source} {refused.version} was {compared}; to use it as it is",
            RunStep("promote", {"version": str(refused.version), "alias": argument}),
            Result.NO_MODEL,
        )
    registered = find_registered(model)
    fix = RunStep(made_by, {"alias": argument})
    if registered is None:
        return UserError(unreadable_error(model), fix)
    others = ", ".join(sorted(registered.aliases))
    only = f", only {others}" if others else ""
    return UserError(f"the registered model {model!r} has no alias {alias!r}{only}", fix)


def is_released(model: str, alias: str) -> bool:
    """Return whether devices that follow an alias have its version, as ONNX."""
    version = version_by_alias(model, alias)
    return version is not None and onnx_version(version) is not None


def moved_reason(model: str, version: str | None, alias: str) -> str | None:
    """Return that an alias no longer names a version (None: none); None if it does."""
    if number_by_alias(model, alias) == version:
        return None
    return f"{model}@{alias} no longer names " + (f"version {version}" if version else "none")


def alias_state(model: str, alias: str) -> str:
    """Return which version an alias names now, as text for a cache key."""
    return f"{model}@{alias}={number_by_alias(model, alias)}"


def alias_argument(alias: str) -> str:
    """Return an alias as an argument of a command: empty for the default, ``champion``."""
    return "" if alias == CHAMPION else alias


def move_alias(model: str, alias: str, version: str, run_id: str, reason: str) -> None:
    """Let an alias name a version, and keep the reason. Hold ``lock_aliases``.

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
        UserError: there is no such registered model that this user may read.
    """
    registered = find_registered(model)
    if registered is None:
        raise UserError(unreadable_error(model), RunStep("register"))
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
