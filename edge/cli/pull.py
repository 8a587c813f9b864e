"""The released model, from an MLflow server onto this device, once."""

from collections.abc import Sequence
from pathlib import Path

from edge.protocol.release import ReleaseError
from edge.update.registry import Registry
from edge.update.updater import Pulled, Updater


def pull(
    server: str,
    model: str,
    alias: str,
    into: Path,
    keys: Sequence[str] = (),
    again: bool = False,
) -> Pulled:
    """Bring the version that an alias points at onto this device, and make it the current one.

    It stays without a probation, as nobody watches its first frames here: its trial has to do.

    Args:
        server: the MLflow server's address.
        model, alias, into, keys: as :class:`edge.update.updater.Updater` takes them.
        again: try a release once more that failed on this device.

    Raises:
        edge.inference.errors.UserError: as :meth:`edge.update.updater.Updater.check` says, or the
            release failed on this device before. The model in use stays as it is.
    """
    updater = Updater(Registry(server), model, alias, into, keys)
    done = updater.check(again)
    if done:
        updater.probation.confirm()
        return done
    if updater.refused:
        raise ReleaseError(f"{updater.refused}; pull with --again to try it once more")
    return updater.in_use  # type: ignore[return-value]  # nothing is new: there is one
