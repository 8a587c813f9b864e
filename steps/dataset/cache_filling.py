"""How a Petastorm cache is filled from a version of ``images``, by Spark."""

import logging
import math
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from edge.inference.prepare import prepare
from edge.inference.region import region_of
from steps.atomic import sync_spark
from steps.dataset.cache import Cache, cache_name, keep_first_cache, read_manifest
from steps.dataset.cache_eviction import evict_caches
from steps.dataset.cache_plan import ROWS_PER_GROUP, plan_cache
from steps.dataset.outside import describe_outside
from steps.dataset.own_split import LEFT_OUT, own_splits
from steps.dataset.split import SPLITS
from steps.errors import RunStep, UserError
from steps.ingestion import labelled
from steps.ingestion.image_metadata import jpeg_step
from steps.lake.delta_log import PLAIN_READER, DeltaLog, version_error
from steps.lake.workers import plain_workers
from steps.landing.place import display
from steps.pipeline.disk_space import require_space
from steps.pipeline.outputs import Selection
from steps.settings.profile import Profile

logger = logging.getLogger(__name__)

OpenSpark = Callable[[], AbstractContextManager[SparkSession]]

MOST_BROADCAST = 500_000
"""Images whose places each task gets, in the memory of the JVM: about half a kilobyte for each."""

FILE = ("bytes", "width", "height", "exposure_seconds", "iso")
"""Columns of ``images`` that the audit reads."""
PLANNED = ("sha256", "path", "device_id", "captured_at", "split", "row_group", "camera", *FILE)
COLUMNS = (
    "sha256 STRING, path STRING, device_id STRING, captured_at TIMESTAMP, split STRING, "
    "row_group BIGINT, camera STRING, bytes BIGINT, width INT, height INT, "
    "exposure_seconds DOUBLE, iso INT, label INT, jpeg_step DOUBLE, "
    "outside BINARY, pixels BINARY"
)


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
    table = _open_table(spark, selection, gone)
    images = labelled.labelled_images(table, selection.source)
    found = _read_labelled(images, selection, gone)
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
    plan = rows[["path", "sha256", "class", "split", "row_group"]]
    planned = spark.createDataFrame(pa.Table.from_pandas(plan, preserve_index=False))
    camera = F.concat_ws(" ", "camera_make", "camera_model").alias("camera")
    images = images.select("sha256", "path", "device_id", "captured_at", camera, *FILE, "content")
    if len(rows) <= MOST_BROADCAST:
        planned = planned.hint("broadcast")  # else Spark sorts the images for the join
    groups = rows.groupby(["split", "row_group"]).size()
    attempt = f"{folder}/{uuid.uuid4().hex}"
    with plain_workers(spark):
        prepared = (
            images.join(planned, ["path", "sha256"])
            .select(*PLANNED, F.col("class").cast("int").alias("label"), "content")
            .repartition(_tasks(spark, len(rows), len(groups)), "split", "row_group")
            .mapInArrow(partial(_prepare, selection=selection), COLUMNS)
        )
    (
        prepared.write.partitionBy("split", "row_group")
        .option("parquet.block.size", str(2**31 - 1))  # one row group a file
        .parquet(attempt)
    )
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


def _open_table(spark: SparkSession, selection: Selection, gone: str | None) -> DataFrame:
    """Return the table at the selection's version or, if that is gone, as it is now."""
    reader = spark.read.format("delta")
    if gone:
        log = DeltaLog(selection.table)
        if not selection.labelled or not log.versions:
            raise UserError(f"{gone}: ingest again", RunStep("ingest"))
        log.read(log.versions[-1])  # raises if a later version of the project wrote it
    else:
        reader = reader.option("versionAsOf", selection.version)
    return reader.load(selection.table)


def _read_labelled(images: DataFrame, selection: Selection, gone: str | None) -> pa.Table:
    """Return what decides a training, of the labelled images; by Spark only if it has to be."""
    if not gone:
        log = DeltaLog(selection.table)
        snapshot = log.read(selection.version)
        if snapshot.reader <= PLAIN_READER:
            read = partial(log.read_rows, snapshot.files)
            return labelled.read_labelled(read, selection.source)
    return images.select(*labelled.COLUMNS).toArrow()


def _prepare(batches: Iterator[pa.RecordBatch], selection: Selection) -> Iterator[pa.RecordBatch]:
    size, resizing = selection.input_size, selection.resizing
    for batch in batches:
        contents = [content.as_py() for content in batch["content"]]
        columns = {name: batch[name] for name in batch.schema.names if name != "content"}
        columns["jpeg_step"] = pa.array(map(jpeg_step, contents), pa.float64())
        regions = [region_of(selection.regions, one.as_py()) for one in batch["device_id"]]
        pixels = (
            prepare(content, size, resizing, region).tobytes()
            for content, region in zip(contents, regions, strict=True)
        )
        columns["outside"] = pa.array(map(describe_outside, contents, regions), pa.binary())
        yield pa.RecordBatch.from_pydict(columns | {"pixels": pa.array(pixels, pa.binary())})
