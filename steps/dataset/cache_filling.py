"""How a Petastorm cache is filled from a version of ``images``, in Spark's workers."""

import logging
import math
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial

import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from steps.atomic import sync_spark
from steps.dataset.cache import Cache, cache_name, keep_first_cache, read_manifest
from steps.dataset.cache_eviction import evict_caches
from steps.dataset.cache_plan import ROWS_PER_GROUP, plan_cache
from steps.dataset.own_split import LEFT_OUT, own_splits
from steps.dataset.prepared_rows import COLUMNS, READ, prepare_rows
from steps.dataset.small_cache import fill_small, is_small
from steps.dataset.split import SPLITS
from steps.errors import RunStep, UserError
from steps.ingestion import labelled
from steps.lake.delta_log import DeltaLog, version_error
from steps.lake.workers import plain_workers
from steps.landing.place import display
from steps.pipeline.disk_space import require_space
from steps.pipeline.outputs import Selection
from steps.settings.profile import Profile

logger = logging.getLogger(__name__)

OpenSpark = Callable[[], AbstractContextManager[SparkSession]]

MOST_BROADCAST = 500_000
"""Images whose places each task gets, in the memory of the JVM: about half a kilobyte for each."""


def find_or_fill(selection: Selection, profile: Profile, spark: OpenSpark) -> Cache:
    """Return the selection's cache; fill it first if there is none.

    Args:
        selection: which images, how they are split, at what size.
        profile: says where caches are.
        spark: opens a Spark session as a context manager; called only if the cache has to be
            filled.

    Raises:
        UserError: the selection has fewer than two labels, a split lacks one, or the table was
            recreated.
    """
    return find_or_make(cache_name(selection), profile, spark, partial(_fill_cache, selection))


def find_or_make(
    name: str, profile: Profile, spark: OpenSpark, fill: Callable[[SparkSession, str], Cache]
) -> Cache:
    """Return the cache of a name, as :func:`find_or_fill` does.

    Args:
        name: a hash of what is in it.
        profile: says where caches are.
        spark: opens a Spark session as a context manager.
        fill: fills a cache in a folder of that name, by Spark.
    """
    folder = f"{profile.cache}/{name}"
    cache = read_manifest(folder)
    if cache is None:
        with spark() as session:
            filled = fill(session, folder)
            sync_spark()  # before the manifest, which is synced
            cache = keep_first_cache(folder, filled)
        with suppress(FileNotFoundError):  # another step evicts at the same time
            evict_caches(profile.cache, int(profile.training.cache_gigabytes * 1e9), spare=name)
    cache.mark_used()
    return cache


def _fill_cache(selection: Selection, spark: SparkSession, folder: str) -> Cache:
    gone = version_error(selection.table, selection.version, selection.table_id)
    log = DeltaLog(selection.table)
    files = () if gone else log.read(selection.version).plain_files
    if files:
        found = labelled.read_labelled(partial(log.read_rows, files), selection.source)
    else:
        images = _open_images(spark, selection, gone)
        found = images.select(*labelled.COLUMNS).toArrow()
    if selection.labelled not in ("", labelled.digest(found)):
        raise UserError(
            f"the labelled images of {selection.table} changed since, and version "
            f"{selection.version} is gone: ingest again",
            RunStep("ingest", {"source": display(selection.source)}),
        )
    known = found.to_pandas()
    known = known.assign(own=own_splits(known, selection))
    rows, labels, counts = plan_cache(known, selection)
    size = "×".join(map(str, selection.input_size))
    logger.info("preparing %d images at %s, %s …", len(rows), size, selection.resizing)
    require_space(folder, len(rows) * 3 * math.prod(selection.input_size), "the prepared images")
    groups = rows.groupby(["split", "row_group"]).size()
    attempt = f"{folder}/{uuid.uuid4().hex}"
    rows = rows.assign(label=rows["class"].astype("int32"))
    with plain_workers(spark):
        if files and is_small(len(rows), selection.input_size):
            fill_small(spark, files, rows, selection, attempt)
        else:
            images = _open_images(spark, selection, gone)
            _fill_by_spark(images, rows, len(groups), selection, attempt)
    return Cache(
        url=attempt,
        labels=labels,
        input_size=selection.input_size,
        group_rows={split: groups[split].tolist() for split in SPLITS},
        counts=counts,
        own_splits=sorted({*known["own"].dropna()} - {LEFT_OUT}),
    )


def _tasks(spark: SparkSession, rows: int, groups: int) -> int:
    """Return how many tasks write the files: small ones are written faster several to a task."""
    cores: int = spark.sparkContext.defaultParallelism
    return min(groups, max(cores, rows // ROWS_PER_GROUP))


def _open_images(spark: SparkSession, selection: Selection, gone: str | None) -> DataFrame:
    """Return the labelled images at the selection's version or, if that is gone, as they are."""
    reader = spark.read.format("delta")
    if gone:
        log = DeltaLog(selection.table)
        if not selection.labelled or not log.versions:
            raise UserError(f"{gone}: ingest again", RunStep("ingest"))
        log.read(log.versions[-1])  # raises if a later version of the project wrote it
    else:
        reader = reader.option("versionAsOf", selection.version)
    return labelled.labelled_images(reader.load(selection.table), selection.source)


def _fill_by_spark(
    images: DataFrame, rows: pd.DataFrame, groups: int, selection: Selection, folder: str
) -> None:
    """Prepare the planned images, and write each row group to a file of its own below a folder."""
    spark = images.sparkSession
    plan = rows[["path", "sha256", "label", "split", "row_group"]]
    planned = spark.createDataFrame(pa.Table.from_pandas(plan, preserve_index=False))
    if len(rows) <= MOST_BROADCAST:
        planned = planned.hint("broadcast")  # else Spark sorts the images for the join
    (
        images.select("device_id", "captured_at", *READ.names)
        .join(planned, ["path", "sha256"])
        .repartition(_tasks(spark, len(rows), groups), "split", "row_group")
        .mapInArrow(partial(prepare_rows, selection=selection), COLUMNS)
        .write.partitionBy("split", "row_group")
        .option("parquet.block.size", str(2**31 - 1))  # one row group a file
        .parquet(folder)
    )
