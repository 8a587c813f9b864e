"""``python -m edge pull``: the released model, from an MLflow server onto this device, once."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from edge.update.registry import Registry
from edge.update.updater import Updater, UpdateResult


def pull(
    server: str,
    model: str,
    alias: str,
    into: Path,
    keys: Sequence[str] = (),
    unsigned: bool = False,
) -> UpdateResult:
    """Install the version that an alias points to, and switch to it.

    A release that failed on this device before is tried once more. It gets no probation, since no
    agent checks its first frames here; its self-test has to do.

    Args:
        server: the MLflow server's address.
        model, alias, into, keys, unsigned: as :class:`edge.update.updater.Updater` takes them.

    Raises:
        edge.inference.errors.UserError: as of :meth:`edge.update.updater.Updater.check`. The model
            in use stays as it is.
    """
    updater = Updater(Registry(server), model, alias, into, keys, unsigned)
    if installed := updater.check(again=True):
        updater.probation.commit()
        return installed
    return cast(UpdateResult, updater.active)  # nothing is new, so there is one
