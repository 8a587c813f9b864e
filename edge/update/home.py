"""A model's folder on the device: what is current, what was before, and what has failed.

<models>/<model>/
    current -> release-5    the link that decides; it moves in one step
    release-5/              the files, release.json, choice.json: written once, then left alone
    release-4/              the one before
    update.json             probation, the previous release, and what failed
    .staging-<statement>/   a release on its way, as far as it came
"""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from edge.files.atomic import sync_folder, write_synced
from edge.files.disk_space import full_disk_said
from edge.inference.errors import UserError
from edge.inference.record import MODEL_FILE
from edge.protocol.release import CURRENT, RELEASE_FILE, Release, ReleaseError
from edge.update.faultpoints import UpdateStep, reached
from edge.update.state import Failure, State

logger = logging.getLogger(__name__)

STATE_FILE = "update.json"
STAGING = ".staging-"
KEPT_FAILURES = 16


class BusyError(UserError):
    """Another process is updating this model."""


class ModelHome:
    """A model's folder on the device.

    Args:
        folder: ``<models>/<model>``; made by :meth:`bringing` where it is missing.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    @contextmanager
    def bringing(self) -> Iterator[None]:
        """Keeps others from bringing a release.

        Raises:
            BusyError: one is at it.
            edge.files.disk_space.SpaceError: what is done meanwhile finds the disk full.
        """
        with full_disk_said(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with _locked(self.folder, wait=False):
                yield

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Waits until nobody else changes what is remembered, or the link; not to be nested.

        It is held for moments only: a release may be confirmed while another one is fetched.

        Raises:
            edge.files.disk_space.SpaceError: what is done meanwhile finds the disk full.
        """
        with full_disk_said(self.folder):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self.folder.parent, wait=True):
                yield

    @property
    def state(self) -> State:
        try:
            return State.parse((self.folder / STATE_FILE).read_text(encoding="utf-8"))
        except (FileNotFoundError, UnicodeDecodeError):
            return State()

    def remember(self, state: State) -> None:
        write_durably(self.folder / STATE_FILE, state.text())

    @property
    def linked(self) -> Path | None:
        """The folder that the link names, whether it is there or not; None without a link."""
        target = self._link_target()
        return self.folder / target if target else None

    @property
    def current(self) -> Path | None:
        """The folder in use; None where there is none."""
        return self._folder(self._link_target())

    @property
    def previous(self) -> Path | None:
        """The folder to go back to; None where there is none."""
        return self._folder(self.state.previous)

    def in_use(self) -> Release | None:
        """The release that is in use; None where there is none, or its statement is damaged."""
        return None if self.current is None else stated_in(self.current)

    def on_probation(self) -> bool:
        probation = self.state.probation
        return probation is not None and probation == self._link_target()

    def switch(self, folder: Path) -> None:
        """Make a folder the current one, in one step that survives a power cut."""
        link = self.folder / f".{CURRENT}.new"
        link.unlink(missing_ok=True)
        link.symlink_to(folder.name)
        reached(UpdateStep.LINKED)
        os.replace(link, self.folder / CURRENT)
        sync_folder(self.folder)
        reached(UpdateStep.SWITCHED)

    def let_go(self) -> None:
        """Have no current model."""
        (self.folder / CURRENT).unlink(missing_ok=True)
        sync_folder(self.folder)

    def remember_failure(self, statement: str, failure: Failure) -> None:
        state = self.state
        others = {k: v for k, v in state.failures.items() if k != statement}
        newest = dict(list(others.items())[1 - KEPT_FAILURES :])
        self.remember(replace(state, failures={**newest, statement: failure}))

    def tidy(self, *but: Path) -> None:
        """Remove all models but the current and the previous one, and all that was begun.

        Args:
            but: what stays as well, as it is still on its way.
        """
        kept = {self._link_target(), self.state.previous, *(path.name for path in but)}
        for path in list(self.folder.iterdir()):
            if path.name in kept or path.is_symlink():
                continue
            if path.name.startswith(".") and not path.is_dir():
                path.unlink()
            elif path.name.startswith(".") or (path / MODEL_FILE).exists():
                self.discard(path)
        reached(UpdateStep.TIDIED)

    def discard(self, folder: Path) -> None:
        """Remove a folder, where there is one; half of it is never taken for a model.

        What this user may not remove stays under a hidden name: it is no reason to take no update.
        """
        if folder.exists():
            doomed = folder
            if not folder.name.startswith("."):
                doomed = folder.with_name(f".removed-{folder.name}")
                folder.rename(doomed)
            try:
                shutil.rmtree(doomed)
            except PermissionError as error:
                logger.warning("%s is in no use and stays: %s", doomed, error)

    def _link_target(self) -> str | None:
        try:
            return os.readlink(self.folder / CURRENT)
        except OSError:
            return None

    def _folder(self, name: str | None) -> Path | None:
        folder = self.folder / name if name else None
        return folder if folder is not None and folder.is_dir() else None


def stated_in(folder: Path) -> Release | None:
    """The release whose files a folder holds; None where its statement is missing or damaged."""
    try:
        return Release.parse((folder / RELEASE_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, ReleaseError):
        return None


def write_durably(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all, its name included, after a power cut too."""
    write_synced(path, text.encode())
    sync_folder(path.parent)


@contextmanager
def _locked(folder: Path, wait: bool) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise BusyError(f"{folder} is being updated by another process") from error
        yield
    finally:
        os.close(descriptor)
