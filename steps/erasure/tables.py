"""Rows of the images in the tables, and the data files of older versions that hold them."""

from collections.abc import Collection
from operator import methodcaller

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem
from pyspark.sql import SparkSession

from steps.atomic import sync_spark
from steps.erasure.writers import Writers
from steps.ingestion.tables import IMAGES, LABELS, QUARANTINE, SCORES
from steps.lake.delta_log import PLAIN_READER, DeltaLog
from steps.lake.newest import GetSpark, Newest
from steps.lake.table import Table
from steps.settings.profile import Profile


def erase_rows(
    profile: Profile, spark: GetSpark, images: Collection[str], writers: Writers, dry_run: bool
) -> dict[str, int]:
    """Delete the rows of images, and the files of older versions that have such rows.

    Files without them stay, so that versions without these images can still be read.

    Args:
        profile: names the lake.
        spark: returns the session; called if a row is deleted.
        images: their sha256.
        writers: whose files are not deleted before they are in a version.
        dry_run: only count.

    Returns:
        by table, the rows and the older files.
    """
    counts: dict[str, int] = {}
    for table in (IMAGES, QUARANTINE, LABELS, SCORES):
        if not Newest(table, profile, spark).exists:
            continue
        rows, files = 0, None
        while files is None:
            rows += _erase_newest(profile, spark, table, images, dry_run)
            files = _erase_files(table.path(profile), images, writers, dry_run)
        counts |= {f"{table.name}: rows": rows, f"{table.name}: files of older versions": files}
    return counts


def _erase_newest(
    profile: Profile, spark: GetSpark, table: Table, images: Collection[str], dry_run: bool
) -> int:
    here = pc.field("sha256").isin(pa.array(list(images), pa.string()))
    newest = Newest(table, profile, spark)
    rows: int = newest.rows(pa.schema({"sha256": pa.string()}), here).num_rows
    if rows and not dry_run:
        _delete_rows(spark(), profile, table, images)
    return rows


def _delete_rows(
    spark: SparkSession, profile: Profile, table: Table, images: Collection[str]
) -> None:
    these = spark.createDataFrame([(sha256,) for sha256 in images], "sha256 STRING")
    delete = methodcaller("whenMatchedDelete")
    table.merge(spark, profile, these, "row.sha256 = new.sha256", delete, "erased")
    log = DeltaLog(table.path(profile))
    if log.read(log.versions[-1]).reader > PLAIN_READER:  # a bitmap may have deleted the row only
        spark.sql(f"REORG TABLE delta.`{table.path(profile)}` APPLY (PURGE)")


def _erase_files(
    table: str, images: Collection[str], writers: Writers, dry_run: bool
) -> int | None:
    """Delete the files beside the newest version that have one of the images, or are damaged.

    No run writes to the table meanwhile, so that a damaged one is of a run that was killed.

    Returns:
        their number; None, and nothing is deleted, if a run had begun to write meanwhile.
    """
    log, wanted = DeltaLog(table), set(images)
    filesystem, root = fsspec.core.url_to_fs(table)
    files = log.files_beside(log.read(log.versions[-1]))
    found = [name for name in files if has_any(filesystem, f"{root}/{name}", wanted)]
    if writers.wait():
        return None
    if found and not dry_run:
        sync_spark()  # else a power cut may take the other rows of these files
        for name in found:
            filesystem.rm_file(f"{root}/{name}")
    return len(found)


def has_any(filesystem: AbstractFileSystem, path: str, images: set[str]) -> bool:
    """Return whether a Parquet file has one of the images in its column ``sha256``, or may have.

    Raises:
        OSError: it cannot be read now, which does not make it damaged.
    """
    try:
        with filesystem.open(path, "rb") as file:
            parquet = pq.ParquetFile(file)
            if "sha256" not in parquet.schema_arrow.names:
                return False
            return not images.isdisjoint(parquet.read(columns=["sha256"])["sha256"].to_pylist())
    except FileNotFoundError:  # another run deleted it meanwhile
        return False
    except pa.ArrowInvalid:  # damaged
        return True
    except OSError as error:
        if type(error) is OSError and error.errno is None:  # Arrow's, of damage
            return True
        raise
