"""The features of a frozen network for a cache's images, in a Petastorm cache of their own."""

import hashlib
import json
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache as cached
from functools import partial
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from steps.dataset.cache import LAYOUT, Cache, read_manifest
from steps.dataset.cache_filling import OpenSpark, find_or_make
from steps.dataset.cache_reader import read_row_groups
from steps.dataset.split import TEST, TRAIN, VALIDATION, Capture
from steps.features.weights import SHA256
from steps.settings.profile import Profile
from steps.training.augmentation import DRAWN, build_augmentation
from steps.training.networks import FROZEN, build_backbone
from steps.training.plan import Plan
from steps.training.tensorflow_settings import configure_tensorflow

logger = logging.getLogger(__name__)

COPIES = 3
"""Augmented copies of each image that trains, besides the image itself."""
REST = "rest"
"""The split of all images that do not test: the last fit takes them all."""
BATCH = 16
OF_IMAGE = ["sha256", "device_id", "captured_at", "label"]
COLUMNS = (
    "sha256 STRING, device_id STRING, captured_at TIMESTAMP, label INT, copy INT, "
    "features BINARY, split STRING, row_group INT"
)


@dataclass(frozen=True)
class Source:
    """What a cache of features depends on besides its images.

    Attributes:
        network: one of ``FROZEN``.
        input_size: (height, width) in pixels.
        augmentation: strength of the copies; without it there are none.
    """

    network: str
    input_size: tuple[int, int]
    augmentation: float

    @property
    def copies(self) -> int:
        """How often each image that trains is described, itself included."""
        return 1 + COPIES * bool(self.augmentation)


def find_or_describe(plan: Plan, cache: Cache, profile: Profile, spark: OpenSpark) -> Cache:
    """Return what a plan's network trains on: the pixels or, for a frozen network, its features.

    Args:
        plan: names the network, and how strongly the copies are augmented.
        cache: the prepared images.
        profile: says where caches are.
        spark: opens a Spark session as a context manager, if there are no such features yet.
    """
    if plan.network not in FROZEN:
        return cache
    source = Source(plan.network, cache.input_size, plan.augmentation)
    plain = _name(replace(source, augmentation=0), cache)
    fill = partial(_fill_features, source, cache, f"{profile.cache}/{plain}")
    return find_or_make(_name(source, cache), profile, spark, fill)


def _name(source: Source, cache: Cache) -> str:
    content = [cache.url.split("/")[-2], *vars(source).values(), COPIES, SHA256, LAYOUT, DRAWN]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _fill_features(
    source: Source, cache: Cache, plain: str, spark: SparkSession, folder: str
) -> Cache:
    """Describe the images; those in the folder ``plain``, if it has them, are known as they are."""
    size, copies = source.input_size[0], source.copies - 1
    augmented = f", and {copies} augmented copies of each" if copies else ""
    logger.info("describing the images by %s at %d%s …", source.network, size, augmented)
    attempt = f"{folder}/{uuid.uuid4().hex}"
    pixels, rows = spark.read.parquet(cache.url), cache.group_rows
    tests = [TEST] if cache.has_few(TEST) else []  # cross-validation takes them too then
    known = read_manifest(plain) if plain != folder else None
    if known:
        known.mark_used()
    describe_group = partial(_describe_group, source=source, after=len(rows[TRAIN]), known=known)
    (
        pixels.where(pixels.split.isin(TRAIN, VALIDATION, *tests))
        .select(*OF_IMAGE, "pixels", "split", "row_group")
        .groupBy("split", "row_group")
        .applyInArrow(describe_group, COLUMNS)
        .write.partitionBy("split", "row_group")
        .option("parquet.block.size", str(2**31 - 1))  # one row group a file
        .parquet(attempt)
    )
    copied = {split: [n * source.copies for n in rows[split]] for split in (TRAIN, VALIDATION)}
    rest = copied[TRAIN] + copied[VALIDATION]
    described = {TRAIN: copied[TRAIN], VALIDATION: rows[VALIDATION], REST: rest}
    described |= {split: rows[split] for split in tests}
    both = [Counter(cache.counts[split]) for split in (TRAIN, VALIDATION)]
    counts = cache.counts | {REST: dict(both[0] + both[1])}
    features = replace(cache, url=attempt, group_rows=described, counts=counts)
    mean, deviation = _moments(read_row_groups(features, TRAIN, ["features"]))
    return replace(features, mean=mean.tolist(), deviation=deviation.tolist())


def _moments(groups: Iterable[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each feature's mean and standard deviation, of one row group in memory at a time."""
    count, mean, squares = 0, np.zeros(1), np.zeros(1)
    for group in groups:
        values = np.array([np.frombuffer(row, np.float32) for row in group.features], np.float64)
        own, change = len(values), values.mean(axis=0) - mean
        count += own
        # the parallel algorithm of Chan, Golub and LeVeque
        squares = squares + values.var(axis=0) * own + change**2 * own * (count - own) / count
        mean = mean + change * own / count
    return mean, np.sqrt(squares / count)


def _describe_group(rows: pa.Table, source: Source, after: int, known: Cache | None) -> pa.Table:
    """Return a row group of a split, and its images among the rest, validation ``after`` train."""
    rows = rows.sort_by("sha256")  # for the augmentation, which Spark's order must not decide
    split, row_group = (rows[name][0].as_py() for name in ("split", "row_group"))
    pixels = np.frombuffer(b"".join(rows["pixels"].to_pylist()), np.uint8)
    pixels = pixels.reshape(-1, *source.input_size, 3)
    count = 1 if split == TEST else source.copies
    before = _read(known, split, row_group) if known else None
    features = compute_features(source, pixels, count, row_group, before)
    copied = pa.concat_tables([rows.select(OF_IMAGE)] * count)
    copies = np.repeat(np.arange(count, dtype=np.int32), len(rows))
    copied = copied.append_column("copy", pa.array(copies))
    copied = copied.append_column(
        "features", pa.array([f.tobytes() for f in features], pa.binary())
    )
    own = _placed(copied if split == TRAIN else copied.slice(0, len(rows)), split, row_group)
    if split == TEST:
        return own
    place = row_group + (0 if split == TRAIN else after)
    return pa.concat_tables([own, _placed(copied, REST, place)])


def _read(known: Cache, split: str, row_group: int) -> NDArray[np.float32]:
    """Return the features of a row group's images, in the order of their hashes."""
    filesystem, folder = fsspec.core.url_to_fs(f"{known.url}/split={split}/row_group={row_group}")
    rows = ds.dataset(folder, format="parquet", filesystem=filesystem).to_table(
        ["sha256", "features"]
    )
    return known.stack(rows.sort_by("sha256")["features"].to_pylist())


def _placed(rows: pa.Table, split: str, row_group: int) -> pa.Table:
    rows = rows.append_column("split", pa.array([split] * len(rows), pa.string()))
    return rows.append_column("row_group", pa.array([row_group] * len(rows), pa.int32()))


@dataclass(frozen=True)
class Features:
    """A frozen network's features of a cache's images, as they are.

    Attributes:
        values: ``float32 [N, features]``.
        classes: ``int32 [N]``.
        captures: when each was taken, by which device, and its SHA-256.
    """

    values: NDArray[np.float32]
    classes: NDArray[np.int32]
    captures: list[Capture]


def read_features(cache: Cache, split: str) -> Features:
    """Read the features of a split's images, without those of their augmented copies."""
    names = [*OF_IMAGE, "copy", "features"]
    groups = [pd.DataFrame(g._asdict()) for g in read_row_groups(cache, split, names)]
    rows = pd.concat(groups)
    rows = rows[rows["copy"] == 0].sort_values("sha256")
    times = rows["captured_at"].astype(object).where(rows["captured_at"].notna(), None)
    captures = list(zip(times, rows["device_id"], rows["sha256"], strict=True))
    return Features(cache.stack(rows["features"]), rows["label"].to_numpy(np.int32), captures)


def compute_features(
    source: Source,
    pixels: NDArray[np.uint8],
    copies: int,
    seed: int,
    known: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return what the cache holds of images: their features, then those of augmented copies.

    Args:
        source: says how.
        pixels: ``uint8 [N, H, W, 3]``.
        copies: how often each image is described; the first time as it is.
        seed: of the augmentation.
        known: the images' features as they are, if they were computed before.

    Returns:
        ``float32 [copies · N, features]``.
    """
    backbone = _backbone(source.network, source.input_size)
    augment = build_augmentation(source.input_size, source.augmentation, seed)
    features = [] if known is None else [known]
    for copy in range(len(features), copies):
        for start in range(0, len(pixels), BATCH):
            batch: Any = pixels[start : start + BATCH]
            batch = augment(batch, training=True) if copy else batch
            features.append(np.asarray(backbone(batch)))
    return np.concatenate(features)


@cached
def _backbone(network: str, size: tuple[int, int]) -> Callable[[NDArray[np.uint8]], Any]:
    """Return the network without its classifier, once for each of Spark's workers.

    As a graph, which frees what a layer computed once the next ones have read it.
    """
    tf = configure_tensorflow(operations=1)
    model = build_backbone(Plan(network=network), size)
    signature = [tf.TensorSpec(model.input_shape, tf.uint8)]
    compiled: Callable[[NDArray[np.uint8]], Any]
    compiled = tf.function(partial(model, training=False), input_signature=signature)
    return compiled
