"""The erasure of images, from the list that forbids them to the last copy."""

import logging
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

import fsspec

from edge.protocol.erased import Erased, Rule
from steps.erasure import derived, landed
from steps.erasure.releases import ReferenceFile, find_reference_files
from steps.erasure.tables import erase_rows
from steps.erasure.thumbnails import erase_thumbnails
from steps.erasure.work import Work, clear_pending, find_work, note_pending
from steps.ingestion.erased import erasure_folder, read_erased, with_rule, write_erased
from steps.ingestion.polling import WAIT_SECONDS
from steps.lake.lease import lease
from steps.lake.session import spark_session
from steps.pipeline.runs import all_runs
from steps.release.keys import signing_keys
from steps.settings.profile import Profile

logger = logging.getLogger("steps")


class Removed(NamedTuple):
    """The number of images, and by place what of them was, or would be, removed."""

    images: int
    removed: dict[str, int]


def by_age(days: float) -> Rule:
    """Return the rule that means images that are older than so many days."""
    now = datetime.now(UTC)
    before = (now - timedelta(days=days)).date()
    return Rule(now.isoformat(timespec="seconds"), before=before.isoformat())


def erase(profile: Profile, run_id: str, rule: Rule, dry_run: bool) -> Removed:
    """Erase the images that a rule means, and what an interrupted erasure left, everywhere.

    The list that forbids them is written first, then what is to be done. So an interrupted
    erasure is completed by the next one, and nothing comes back meanwhile.

    Args:
        profile: names lake, caches and keys.
        run_id: the run that erases.
        rule: the images.
        dry_run: only count.

    Raises:
        UserError: a run writes to the lake, the page for labels is open, or a file cannot be
            deleted.
    """
    with ExitStack() as until_end:
        spark = cache(lambda: until_end.enter_context(spark_session(profile, "erase")))
        for home in [] if dry_run else _ledgers(profile):
            until_end.enter_context(lease(home, run_id, WAIT_SECONDS))
        erased = with_rule(read_erased(profile), rule)
        work = find_work(profile, spark, erased)
        runs = list(all_runs())
        sources, archives = landed.find_places(runs)
        files = find_reference_files(work.images, until_end) if work.images else []
        if not dry_run:
            _forbid(profile, sources, erased, work, files)
        count = landed.erase_files(work, sources, archives, dry_run)
        removed = {"landing zone and archive": count}
        if not work.images:
            return Removed(0, removed)
        removed |= erase_rows(profile, spark, work.images, dry_run)
        removed["caches"] = derived.erase_caches(profile, work.images, dry_run)
        removed |= derived.erase_labelling(profile, work.images, dry_run)
        removed["thumbnails in reports"] = erase_thumbnails(runs, work.images, dry_run)
        removed["models pulled by -e device"] = derived.erase_pulled(work.images, dry_run)
        removed["reference images of models"] = sum(file.removed for file in files)
        if not dry_run:
            keys = signing_keys(profile.release.key_file) if files else []
            for file in files:
                file.erase(keys, run_id)
            clear_pending(profile)
    for place, count in removed.items():
        logger.info("%8d  %s", count, place)
    return Removed(len(work.images), removed)


def _forbid(
    profile: Profile, sources: set[str], erased: Erased, work: Work, files: list[ReferenceFile]
) -> None:
    """Write the lists that forbid the images, then what is to be done."""
    withdrawn = erased.files | {file.hash for file in files if file.hash}
    erased = replace(erased, sha256=erased.sha256 | work.lasting, files=withdrawn)
    write_erased(profile, erased)
    landed.tell_devices(sources, erased)
    if work.images:
        note_pending(profile, work)


def _ledgers(profile: Profile) -> list[str]:
    """Return the folders whose lease a run holds while it writes images, and that of erasures."""
    filesystem, root = fsspec.core.url_to_fs(f"{profile.lake}/_ingest")
    found = filesystem.ls(root, detail=False) if filesystem.exists(root) else []
    names = sorted(path.rpartition("/")[2] for path in found)
    return [erasure_folder(profile), *(f"{profile.lake}/_ingest/{name}" for name in names)]
