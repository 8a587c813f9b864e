"""What was made of images: caches, features, labels on their way, the models of `-e device`."""

import json
import re
import shutil
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

import fsspec
import numpy as np

from edge.inference.reference_images import REFERENCE_IMAGES_FILE
from steps.erasure.tables import has_any
from steps.labelling.describing import RECORD, read_records
from steps.labelling.journal import Journal, journal_folder
from steps.monitoring.frames import FILE, KEPT
from steps.settings.profile import Profile, data_home

DEVICE = "data/device"
"""The folder of `-e device`, which pulls its models again if they are gone."""


def erase_caches(profile: Profile, images: Collection[str], dry_run: bool) -> int:
    """Remove the caches that have one of the images; they are filled again without it."""
    filesystem, root = fsspec.core.url_to_fs(profile.cache)
    if not filesystem.exists(root):
        return 0
    filesystem.invalidate_cache(root)
    places = [p for p in filesystem.ls(root, detail=False) if re.search("/[0-9a-f]{16}$", p)]
    wanted, count = set(images), 0
    for place in places:
        files = [f for f in filesystem.find(place) if f.endswith(".parquet")]
        if any(has_any(filesystem, file, wanted) for file in files):
            count += 1
            if not dry_run:  # the manifest first: half a cache must not pass for a complete one
                for name in (f"{place}/manifest.json", place):
                    if filesystem.exists(name):
                        filesystem.rm(name, recursive=True)
    return count


def open_journal(profile: Profile, until_end: ExitStack, dry_run: bool) -> Journal | None:
    """Return the labels of a sitting, of which an erasure takes its own; no page is open meanwhile.

    Raises:
        UserError: the page for labels is open.
    """
    if dry_run and not journal_folder(profile).exists():
        return None
    journal = Journal(journal_folder(profile))
    until_end.callback(journal.close)
    return journal


def erase_labelling(
    profile: Profile, journal: Journal | None, images: Collection[str], dry_run: bool
) -> dict[str, int]:
    """Remove the images' features and the labels of a sitting that no table has yet."""
    counts = _erase_features(profile, images, dry_run)
    rows = sum(row.sha256 in images for row in journal.rows) if journal else 0
    if journal and not dry_run:
        journal.remove(images)
    return counts | {"labels of an interrupted sitting": rows}


def _erase_features(profile: Profile, images: Collection[str], dry_run: bool) -> dict[str, int]:
    """Remove the files of features that have one of the images; they are made again."""
    folders = [journal_folder(profile)]
    if "://" not in profile.cache:
        folders += [Path(profile.cache, "labelling"), Path(profile.cache, "monitoring")]
    kinds = {"features-*": RECORD, FILE: KEPT}
    wanted, count = np.array([*images], "S64"), 0
    for folder in folders:
        for pattern, record in kinds.items():
            for file in folder.glob(pattern):
                rows = int(np.isin(read_records(file, record)["sha256"], wanted).sum())
                count += rows
                if rows and not dry_run:
                    file.unlink()
    return {"features of labelling and monitoring": count}


def erase_pulled(images: Collection[str], dry_run: bool) -> int:
    """Remove the models that `-e device` pulled, if one has a reference image of these."""
    count = 0
    for model in (data_home() / DEVICE).glob("*/"):
        files = model.glob(f"*/{REFERENCE_IMAGES_FILE}")
        rows = [row for file in files for row in json.loads(file.read_bytes())["images"]]
        if any(row.get("sha256", "") in ("", *images) for row in rows):
            count += 1
            if not dry_run:
                shutil.rmtree(model)
    return count
