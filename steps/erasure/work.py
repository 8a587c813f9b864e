"""Which images an erasure removes: found in the tables, and noted until all of it is done."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc

from edge.protocol.erased import UNSET_YEAR, Erased
from steps.atomic import write_atomically
from steps.ingestion.erased import erasure_folder
from steps.ingestion.file_name import parse_file_name
from steps.ingestion.rows import ERASED
from steps.ingestion.tables import IMAGE_TABLES, TIME
from steps.lake.newest import GetSpark, Newest
from steps.landing.listing import LandedFile
from steps.settings.profile import Profile

COLUMNS = {
    **dict.fromkeys(("path", "sha256", "device_id", "reason"), pa.string()),
    "bytes": pa.int64(),
    **dict.fromkeys(("captured_at", "ingested_at", "modified_at"), TIME),
}


@dataclass(frozen=True)
class Work:
    """What an erasure is to remove.

    Attributes:
        images: bytes of each image, by its sha256.
        files: as they landed; with the mask of a device, their bytes are others.
        lasting: those of them that must not come back under another name either; the others are
            meant by their age alone.
    """

    images: dict[str, int]
    files: frozenset[LandedFile]
    lasting: frozenset[str] = frozenset()


def find_work(profile: Profile, spark: GetSpark, erased: Erased) -> Work:
    """Return the images of the tables that the list means, with all rows of the same bytes.

    What an interrupted erasure had noted is part of it, though its rows may be gone.
    """
    rows = [row for table in IMAGE_TABLES for row in _rows(Newest(table, profile, spark), profile)]
    covered = [row for row in rows if _is_covered(row, erased)]
    found = {row["sha256"] for row in covered if row["sha256"]}
    covered += [row for row in rows if row["sha256"] in found]
    lasting = Erased(tuple(rule for rule in erased.rules if not rule.is_age), erased.sha256)
    before = _read_pending(profile)
    return Work(
        before.images | {row["sha256"]: row["bytes"] for row in rows if row["sha256"] in found},
        before.files
        | {LandedFile(row["path"], row["bytes"], row["modified_at"]) for row in covered},
        frozenset(row["sha256"] for row in covered if row["sha256"] and _is_covered(row, lasting)),
    )


def note_pending(profile: Profile, work: Work) -> None:
    """Note what is to be done: the rows that say so are deleted on the way."""
    noted = {"images": work.images, "files": sorted(work.files, key=str)}
    write_atomically(_pending(profile), json.dumps(noted, default=datetime.isoformat).encode())


def clear_pending(profile: Profile) -> None:
    """Note that an erasure has nothing more to do."""
    filesystem, path = fsspec.core.url_to_fs(_pending(profile))
    filesystem.rm_file(path)


def _rows(newest: Newest, profile: Profile) -> list[dict[str, Any]]:
    """Return the rows of a table; of a quarantined file, by what its name says."""
    if not newest.exists:
        return []
    schema = pa.schema({name: t for name, t in COLUMNS.items() if name in newest.snapshot.columns})
    rows: list[dict[str, Any]] = newest.rows(schema, pc.field("path").is_valid()).to_pylist()
    for row in rows:
        if "device_id" not in row:
            path = row["path"]
            named = parse_file_name(path, path.rpartition("/")[0], profile.file_name)
            row["device_id"] = named.device_id
            row["captured_at"] = named.captured_at or row["modified_at"]
    return rows


def _is_covered(row: dict[str, Any], erased: Erased) -> bool:
    captured_at = row["captured_at"]
    if captured_at is None or captured_at.year <= UNSET_YEAR:
        captured_at = row["ingested_at"]  # it is no younger than that
    is_refused = row.get("reason") == ERASED  # it landed again
    return is_refused or erased.covers(row["sha256"], row["device_id"], captured_at)


def _pending(profile: Profile) -> str:
    return f"{erasure_folder(profile)}/pending.json"


def _read_pending(profile: Profile) -> Work:
    filesystem, path = fsspec.core.url_to_fs(_pending(profile))
    if not filesystem.exists(path):
        return Work({}, frozenset())
    noted = json.loads(filesystem.cat_file(path))
    files = [(path, size, datetime.fromisoformat(at)) for path, size, at in noted["files"]]
    return Work(noted["images"], frozenset(LandedFile(*file) for file in files))
