"""A model's folder on the device: the releases in it, and the state of its updates.

<models>/<model>/
    current -> release-5    the link to the release in use; it moves in one step
    release-5/              the files, release.json, self_test.json: written once
    release-4/              the release before
    update.json             probation, previous release and failures
    .staging-<digest>/      the download of a release

What has another name is not the agent's, and stays.
"""

import fcntl
import logging
import os
import re
import shutil
from collections.abc import Iterator, Set
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from edge.files.atomic import make_folder, sync_folder, write_atomically
from edge.files.disk_space import explain_full_disk
from edge.protocol.freshness import FRESHNESS_FILE
from edge.protocol.release import CURRENT, RELEASE_FILE, Release, read_release
from edge.update.errors import BusyError
from edge.update.self_test import runtime_fingerprint
from edge.update.state import Failure, State

logger = logging.getLogger(__name__)

STATE_FILE = "update.json"
STAGING, RELEASE, REMOVED = ".staging-", "release-", ".removed-"
NEW_LINK = f".{CURRENT}.new"
HALF_MADE = {NEW_LINK, *(f".{name}.part" for name in (STATE_FILE, FRESHNESS_FILE))}
"""What a power cut may leave of the link and of files."""
UNFINISHED = re.compile(rf"\{STAGING}[0-9a-f]{{16}}|\{REMOVED}{RELEASE}[0-9]+")
"""The folders of interrupted downloads and removals."""
KEPT_FAILURES = 16
MAX_ATTEMPTS = 3
"""Attempts at a release whose self-test ends without a result."""


class ModelHome:
    """A model's folder on the device.

    Args:
        folder: ``<models>/<model>``; :meth:`update_lock` creates it.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def update_lock(self) -> AbstractContextManager[None]:
        """Lock out other processes that update this model.

        Raises:
            BusyError: another process has the lock.
            edge.files.disk_space.SpaceError: the disk is full.
        """
        return _locked(self.folder, wait=False)

    def state_lock(self) -> AbstractContextManager[None]:
        """Wait for the lock of state and link; it cannot be nested.

        Hold it only briefly: a release may be committed while another one is downloading.

        Raises:
            edge.files.disk_space.SpaceError: the disk is full.
        """
        return _locked(self.folder.parent, wait=True)

    @property
    def state(self) -> State:
        """The saved state; an empty one if it is missing or damaged."""
        try:
            return State.parse((self.folder / STATE_FILE).read_text(encoding="utf-8"))
        except (FileNotFoundError, UnicodeDecodeError):
            return State()

    def save(self, state: State) -> None:
        """Save the state."""
        write_atomically(self.folder / STATE_FILE, state.text().encode())

    @property
    def linked_folder(self) -> Path | None:
        """The folder that the link names, even if it does not exist; None without a link."""
        target = self._link_target()
        return self.folder / target if target else None

    @property
    def current(self) -> Path | None:
        """The folder in use, or None."""
        return self._folder(self._link_target())

    @property
    def previous(self) -> Path | None:
        """The folder to roll back to, or None."""
        before = self.state.previous
        # a power cut between the state and the link leaves the release in use as the one before
        return None if before == self._link_target() else self._folder(before)

    def active_release(self) -> Release | None:
        """Return the release in use; None if there is none, or its statement is damaged."""
        return None if self.current is None else read_release(self.current)

    def is_on_probation(self) -> bool:
        """Return whether the release in use is on probation."""
        probation = self.state.probation
        return probation is not None and probation == self._link_target()

    def switch(self, folder: Path) -> None:
        """Move the link to a folder, in one step that survives a power cut."""
        link = self.folder / NEW_LINK
        link.unlink(missing_ok=True)
        link.symlink_to(folder.name)
        os.replace(link, self.folder / CURRENT)
        sync_folder(self.folder)

    def remove_link(self) -> None:
        """Remove the link, so that no model is in use."""
        (self.folder / CURRENT).unlink(missing_ok=True)
        sync_folder(self.folder)

    def add_failure(
        self, release: Release, reason: str, final: bool = False, attempts: int = 1
    ) -> None:
        """Count a failed attempt at a release; hold the state's lock.

        Args:
            release: of which the state keeps the newest ``KEPT_FAILURES`` that failed.
            reason: on one line.
            final: whether there is no further attempt; the ``MAX_ATTEMPTS``-th is always final.
            attempts: how many more this is.
        """
        state = self.state
        before = state.failures.get(release.digest)
        attempts += before.attempts if before else 0
        final = final or attempts >= MAX_ATTEMPTS
        failure = Failure(release.release, reason, attempts, final, runtime_fingerprint())
        others = {k: v for k, v in state.failures.items() if k != release.digest}
        newest = dict(list(others.items())[1 - KEPT_FAILURES :])
        self.save(replace(state, failures={**newest, release.digest: failure}))

    def forget_failures(self, of: Release | None = None) -> int:
        """Let every release that failed here be tried again, or only one; return how many."""
        with self.state_lock():
            state = self.state
            kept = {k: v for k, v in state.failures.items() if of and k != of.digest}
            if kept != state.failures:
                self.save(replace(state, failures=kept))
            return len(state.failures) - len(kept)

    def clean_up(self, *keep: Path) -> None:
        """Remove all releases but the current and the previous one, and what was interrupted.

        Args:
            keep: folders that stay as well.
        """
        with self.state_lock():
            kept = {self._link_target(), self.state.previous, *(path.name for path in keep)}
            for path in list(self.folder.iterdir()):
                if path.name in kept:
                    continue
                if path.name in HALF_MADE:
                    path.unlink()
                elif UNFINISHED.fullmatch(path.name) or is_release(path):
                    self.discard(path)

    def discard_with(self, files: Set[str]) -> None:
        """Remove releases that have one of these files and are not in use, unless on probation.

        Args:
            files: SHA-256 of each.
        """
        if not files or self.is_on_probation():
            return
        with self.state_lock():
            for folder in filter(is_release, list(self.folder.iterdir())):
                release = None if folder.name == self._link_target() else read_release(folder)
                if release and not files.isdisjoint(file.sha256 for file in release.files):
                    self.discard(folder)

    def discard(self, folder: Path) -> None:
        """Remove a folder if it exists, under a hidden name, so that none is seen half removed.

        If this user may not remove it, it stays under that name, and the update goes on.
        """
        if folder.exists():
            if not folder.name.startswith("."):
                folder = folder.rename(folder.with_name(f"{REMOVED}{folder.name}"))
            try:
                shutil.rmtree(folder)
            except PermissionError as error:
                logger.warning("%s is unused but cannot be removed: %s", folder, error)

    def _link_target(self) -> str | None:
        try:
            return os.readlink(self.folder / CURRENT)
        except OSError:
            return None

    def _folder(self, name: str | None) -> Path | None:
        folder = self.folder / name if name else None
        return folder if folder is not None and folder.is_dir() else None


def is_release(path: Path) -> bool:
    """Return whether the agent has made a folder for a release; its files may be damaged."""
    is_named = re.fullmatch(f"{RELEASE}[0-9]+", path.name)
    return bool(is_named) and not path.is_symlink() and (path / RELEASE_FILE).is_file()


@contextmanager
def _locked(folder: Path, wait: bool) -> Iterator[None]:
    with explain_full_disk(folder), ExitStack() as held:
        make_folder(folder)
        descriptor = os.open(folder, os.O_RDONLY)
        held.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise BusyError(f"{folder} is being updated by another process") from error
        yield
