"""Thumbnails in the reports of runs."""

import re
from collections.abc import Collection, Iterable

from mlflow.entities import Run

from steps.pipeline.run_files import change_report

THUMBNAIL = re.compile(r'<figure(?: data-image="(\w*)")?>.*?</figure>', re.DOTALL)


def erase_thumbnails(runs: Iterable[Run], images: Collection[str], dry_run: bool) -> int:
    """Remove the thumbnails of images from reports, and those of which it is not known of what.

    Returns:
        their number.
    """
    count = 0

    def without(found: re.Match[str]) -> str:
        nonlocal count
        if found[1] and found[1] not in images:
            return found[0]
        count += 1
        return found[0] if dry_run else ""

    for run in runs:
        change_report(run.info.run_id, lambda page: THUMBNAIL.sub(without, page))
    return count
