"""The list of what was erased from a lake, which ingest asks of each file."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import fsspec

from edge.protocol.erased import ERASED, Erased, ErasedError, Rule
from steps.atomic import make_folder, write_atomically
from steps.errors import UserError
from steps.settings.profile import Profile


def erasure_folder(profile: Profile) -> str:
    """Return the folder of the list, and of what an erasure has still to do."""
    return f"{profile.lake}/_erased"


def read_erased(profile: Profile) -> Erased:
    """Return the list of a lake; an empty one if nothing was ever erased.

    Raises:
        UserError: it is damaged; then nothing may be ingested.
    """
    filesystem, path = fsspec.core.url_to_fs(f"{erasure_folder(profile)}/{ERASED}")
    try:
        return Erased.parse(filesystem.cat_file(path)) if filesystem.exists(path) else Erased()
    except ErasedError as error:
        raise UserError(f"{path}: {error}; restore it from a copy") from error


def write_erased(profile: Profile, erased: Erased) -> None:
    """Write a lake's list of what was erased."""
    make_folder(erasure_folder(profile))
    write_atomically(f"{erasure_folder(profile)}/{ERASED}", erased.text().encode())


def with_rule(erased: Erased, rule: Rule) -> Erased:
    """Return a lake's list with one more rule; of two about age alone, the later one is enough."""
    kept = erased.rules
    if rule.is_age:
        if any(one.is_age and (one.before or "") >= (rule.before or "") for one in kept):
            return erased
        kept = tuple(one for one in kept if not one.is_age)
    return replace(erased, rules=(*kept, rule))


def by_age(days: float) -> Rule:
    """Return the rule that means images that are older than so many days."""
    now = datetime.now(UTC)
    return Rule(now.isoformat(timespec="seconds"), before=f"{(now - timedelta(days=days)).date()}")
