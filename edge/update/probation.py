"""The probation of a release: it was switched to, and its first real frames are still to come."""

from dataclasses import replace
from pathlib import Path

from edge.update.faultpoints import UpdateStep, reached
from edge.update.home import ModelHome, stated_in
from edge.update.self_test import runtime_fingerprint
from edge.update.state import Failure

STARTS = 3
"""The start of the process with a frame, and a release on probation, that gives it up."""


class Probation:
    """Ends with :meth:`confirm` after the first real frames, or with :meth:`revert`.

    What has failed is not tried again, until there is a newer release or another runtime.

    Args:
        home: of the model.
    """

    def __init__(self, home: ModelHome):
        self._home = home

    def lasts(self, folder: Path | None = None) -> bool:
        """Whether a release was switched to that is not confirmed yet.

        Args:
            folder: and whether it is the one in this folder.
        """
        return self._home.on_probation() and folder in (None, self._home.linked)

    def confirm(self, folder: Path | None = None) -> None:
        """The release in use scores real frames well: it stays.

        Args:
            folder: of the release that scored them; of another one than that in use, they say
                nothing about it.
        """
        with self._home.changing():
            if self.lasts(folder):
                self._home.remember(replace(self._home.state, probation=None, starts=0))
                reached(UpdateStep.CONFIRMED)

    def revert(self, reason: str, folder: Path | None = None) -> None:
        """Go back from the release on probation to the one before, and never to it again.

        Where there was none before, none is in use afterwards. Without a probation nothing
        happens.

        Args:
            reason: why, on one line.
            folder: of the release that failed; where another one is in use, nothing happens.
        """
        with self._home.changing():
            if self.lasts(folder):
                self._revert(reason)

    def recover(self) -> None:
        """Finish what was cut off, and notice a release that ends the process.

        Called once a process, with a frame at hand and before the model is loaded: a start without
        a frame says nothing about a release. One on probation is given up at the third start.
        """
        with self._home.changing():
            if not self.lasts():
                return
            state, in_use = self._home.state, self._home.in_use()
            known = in_use and state.failures.get(in_use.digest)
            if known and known.final:
                self._revert(known.reason)  # cut off on its way back
            elif state.starts + 1 >= STARTS:
                self._revert(f"the process started {STARTS} times and did not confirm it")
            else:
                self._home.remember(replace(state, starts=state.starts + 1))

    def _revert(self, reason: str) -> None:
        failed, before = self._home.current, self._home.previous
        if release := self._home.in_use():
            failure = Failure(release.release, reason, 1, True, runtime_fingerprint())
            self._home.remember_failure(release.digest, failure)
            reached(UpdateStep.FAILED)
        if before is None or stated_in(before) is None:
            self._home.let_go()
        else:
            self._home.switch(before)
        reached(UpdateStep.REVERTED)
        self._home.remember(replace(self._home.state, probation=None, starts=0, previous=None))
        if failed:
            self._home.discard(failed)  # nothing else: the next release may be on its way
