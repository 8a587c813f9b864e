"""The runs that write images or scores: an erasure holds their leases until it ends."""

from contextlib import ExitStack

import fsspec

from steps.ingestion.erased import erasure_folder
from steps.lake.lease import lease
from steps.landing.polling import WAIT_SECONDS
from steps.settings.profile import Profile


class Writers:
    """The leases of a lake that keep writers away from an erasure.

    Args:
        profile: names the lake.
        run_id: the run that erases.
        until_end: keeps the leases.
        dry_run: hold none.
    """

    def __init__(self, profile: Profile, run_id: str, until_end: ExitStack, dry_run: bool):
        self._profile, self._run_id, self._until_end = profile, run_id, until_end
        self._dry_run = dry_run
        self._held: set[str] = set()

    def wait(self) -> bool:
        """Hold the lease of erasures and upkeep, and of all that has a ledger by now.

        A run leases its ledger before it reads the list of what is erased and writes its first
        file. So after a listing of files, this ends once those of them that no version had yet are
        in the table.

        Returns:
            whether there were new ones; what was read before may have changed then.

        Raises:
            UserError: one of them writes for longer than an erasure waits.
        """
        if self._dry_run:
            return False
        new = [home for home in self._homes() if home not in self._held]
        for home in new:
            self._until_end.enter_context(lease(home, self._run_id, WAIT_SECONDS))
            self._held.add(home)
        return bool(new)

    def _homes(self) -> list[str]:
        filesystem, root = fsspec.core.url_to_fs(f"{self._profile.lake}/_ingest")
        filesystem.invalidate_cache(root)
        found = filesystem.ls(root, detail=False) if filesystem.exists(root) else []
        names = sorted(path.rpartition("/")[2] for path in found)
        ledgers = [f"{self._profile.lake}/_ingest/{name}" for name in names]
        return [erasure_folder(self._profile), *ledgers]
