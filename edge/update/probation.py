"""The probation of a release: the device has switched to it, and its first frames will decide."""

from dataclasses import replace
from pathlib import Path

from edge.protocol.release import read_release
from edge.update.home import ModelHome

MAX_STARTS = 3
"""A release still on probation at this start of the process with a frame is rolled back, and a
committed one with which so many processes ended, if there is one before it and the agent has not
forgiven it in between."""


class Probation:
    """Ends with :meth:`commit` after the first real frames, or with :meth:`rollback`.

    A release that failed is not installed again, unless there is a newer one or another runtime.

    Args:
        home: of the model.
    """

    def __init__(self, home: ModelHome):
        self._home = home

    def is_active(self, folder: Path | None = None) -> bool:
        """Return whether the release in use is not committed yet.

        Args:
            folder: if given, only of the release in this folder.
        """
        return self._home.is_on_probation() and folder in (None, self._home.linked_folder)

    def commit(self, folder: Path | None = None) -> None:
        """Keep the release in use, because it scores real frames well.

        Args:
            folder: of the release that scored the frames; if another one is in use, nothing
                happens.
        """
        with self._home.state_lock():
            if self.is_active(folder):
                self._home.save(replace(self._home.state, probation=None, starts=0))

    def forgive(self, folder: Path) -> None:
        """Forget the crashes of the committed release in a folder, if it is in use."""
        with self._home.state_lock():
            if (
                self._home.state.starts
                and not self.is_active()
                and (folder == self._home.linked_folder)
            ):
                self._home.save(replace(self._home.state, starts=0))

    def rollback(
        self, reason: str, folder: Path | None = None, although_committed: bool = False
    ) -> None:
        """Go back from the release on probation to the one before it, if there is one.

        Without a probation nothing happens.

        Args:
            reason: of the failure, on one line.
            folder: of the release that failed; if another one is in use, nothing happens.
            although_committed: go back from a committed release too, if there is one before it.
        """
        with self._home.state_lock():
            is_back = although_committed and self._home.previous
            if self.is_active(folder) or (is_back and folder == self._home.linked_folder):
                self._roll_back(reason)

    def recover(self, crash: tuple[str, str] | None = None) -> None:
        """Finish an interrupted rollback, and roll back a release that crashes the process.

        Call it once a process, with a frame at hand and before the model is loaded: a start without
        a frame does not count. At the ``MAX_STARTS``-th start of a probation, or after as many
        crashes of a committed release, the release is rolled back.

        Args:
            crash: name of the release's folder and hash of the frame with which the process before
                ended.
        """
        with self._home.state_lock():
            linked = self._home.linked_folder
            has_crashed = crash is not None and linked is not None and crash[0] == linked.name
            # a committed release stays if there is none to go back to
            if not (self.is_active() or (has_crashed and self._home.previous)):
                return
            state, release = self._home.state, self._home.active_release()
            failure = release and state.failures.get(release.digest)
            if failure and failure.final and self.is_active():
                self._roll_back(failure.reason)  # it was interrupted
            elif state.starts + 1 >= MAX_STARTS and crash and has_crashed:
                times = f"the process ended {MAX_STARTS} times while it scored"
                self._roll_back(f"{times}, the last time frame {crash[1]}")
            elif state.starts + 1 >= MAX_STARTS:
                self._roll_back(f"the process started {MAX_STARTS} times without committing it")
            else:
                self._home.save(replace(state, starts=state.starts + 1))

    def _roll_back(self, reason: str) -> None:
        failed, before = self._home.current, self._home.previous
        if release := self._home.active_release():
            self._home.add_failure(release, reason, final=True)
        if before is None or read_release(before) is None:
            self._home.remove_link()
        else:
            self._home.switch(before)
        self._home.save(replace(self._home.state, probation=None, starts=0, previous=None))
        if failed:
            self._home.discard(failed)  # only this one: the next release may be downloading
