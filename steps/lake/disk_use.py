"""What a lake's tables take on disk, and what a VACUUM would free."""

from dataclasses import dataclass

import fsspec
from delta.tables import DeltaTable
from pyspark.sql import SparkSession


@dataclass(frozen=True)
class DiskUse:
    """Bytes that a table takes on disk.

    Attributes:
        current: of the newest version.
        old: of files that only older versions need, and of Delta's log.
        deletable: what of these is older than the retention.
    """

    current: int
    old: int
    deletable: int


def measure_table(
    spark: SparkSession, table: DeltaTable, path: str, retention_hours: float
) -> DiskUse:
    """Return what a table takes on disk.

    Args:
        spark: the session.
        table: the table.
        path: its folder or URI.
        retention_hours: how long a file is kept after its version was replaced.
    """
    current = table.detail().select("sizeInBytes").head()[0]
    vacuum = f"VACUUM delta.`{path}` RETAIN {retention_hours:g} HOURS DRY RUN"
    files = [row[0] for row in spark.sql(vacuum).collect()]
    total, deletable = folder_size(path), sum(map(folder_size, files))
    return DiskUse(current, max(0, total - current), deletable)


def folder_size(place: str) -> int:
    """Return the bytes of a file, or of all files below a folder; 0 if there is none."""
    if not place:
        return 0
    filesystem, path = fsspec.core.url_to_fs(place)
    found = filesystem.find(path, detail=True)  # not `du`, which fails if a file vanishes meanwhile
    return sum(int(file["size"]) for file in found.values())
