"""The erasure of images, from the list that forbids them to the last copy."""

import logging
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from typing import NamedTuple

from edge.protocol.erased import Erased, Rule
from steps.erasure import derived, landed
from steps.erasure.releases import ReferenceFile, find_reference_files
from steps.erasure.tables import erase_rows
from steps.erasure.thumbnails import erase_thumbnails
from steps.erasure.work import Work, clear_pending, find_work, note_pending
from steps.erasure.writers import Writers
from steps.errors import UserError
from steps.ingestion.erased import read_erased, with_rule, write_erased
from steps.lake.session import spark_session
from steps.pipeline.runs import all_runs
from steps.release.keys import signing_keys
from steps.settings.profile import Profile

logger = logging.getLogger("steps")


class Removed(NamedTuple):
    """The number of images, and by place what of them was, or would be, removed."""

    images: int
    removed: dict[str, int]


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
        UserError: a run writes to the lake, the page for labels is open, or files cannot be
            deleted: then all else is.
    """
    with ExitStack() as until_end:
        spark = cache(lambda: until_end.enter_context(spark_session(profile, "erase")))
        writers = Writers(profile, run_id, until_end, dry_run)
        writers.wait()
        journal = derived.open_journal(profile, until_end, dry_run)
        while True:
            erased = with_rule(read_erased(profile), rule)
            work = find_work(profile, spark, erased)
            runs = list(all_runs())
            places = landed.find_places(runs)
            files = find_reference_files(work.images, until_end) if work.images else []
            if not dry_run:
                _forbid(profile, places.sources, erased, work, files)
            if not writers.wait():  # otherwise a run had begun that did not read the list
                break
        count, failed = landed.erase_files(profile, work, places, dry_run)
        removed = {"landing zone and archive": count}
        if work.images:
            removed |= erase_rows(profile, spark, work.images, writers, dry_run)
            removed["caches"] = derived.erase_caches(profile, work.images, dry_run)
            removed |= derived.erase_labelling(profile, journal, work.images, dry_run)
            removed["thumbnails in reports"] = erase_thumbnails(runs, work.images, dry_run)
            removed["models pulled by -e device"] = derived.erase_pulled(work.images, dry_run)
            removed["reference images of models"] = sum(file.removed for file in files)
        if not dry_run:
            keys = signing_keys(profile.release.key_file) if files else []
            for file in files:
                file.erase(keys, run_id, profile.release.fresh_days)
            if work.images and not failed and not places.are_away(work.files):
                clear_pending(profile)
    for place, count in removed.items():
        logger.info("%8d  %s", count, place)
    if failed and not dry_run:
        raise UserError(
            f"{len(failed)} files cannot be read or deleted, such as {failed[0]}; all else is "
            "erased: run this again as a user who may"
        )
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
