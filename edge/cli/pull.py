"""``python -m edge pull``: the released model, from an MLflow server onto this device, once."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from edge.protocol.release import ReleaseError
from edge.update.registry import Registry
from edge.update.updater import ActiveModel, Updater


def pull(
    server: str, model: str, alias: str, into: Path, keys: Sequence[str] = (), again: bool = False
) -> ActiveModel:
    """Install the version that an alias points to, and switch to it.

    It gets no probation, since no agent checks its first frames here; its self-test has to do.

    Args:
        server: the MLflow server's address.
        model, alias, into, keys: as :class:`edge.update.updater.Updater` takes them.
        again: install a release even if it failed on this device before.

    Raises:
        edge.inference.errors.UserError: as of :meth:`edge.update.updater.Updater.check`, or the
            release failed on this device before. The model in use stays as it is.
    """
    updater = Updater(Registry(server), model, alias, into, keys)
    if installed := updater.check(again):
        updater.probation.commit()
        return installed
    if updater.refusal:
        raise ReleaseError(f"{updater.refusal}; pull with --again to try it once more")
    return cast(ActiveModel, updater.active)  # nothing is new, so there is one
