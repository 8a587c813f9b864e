"""How Spark fills a cache from Delta, once."""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from drawing import drawn, encoded, jpeg
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.classic.dataframe import DataFrame

from edge.inference.prepare import prepare
from edge.inference.region import Region
from steps.audit.images import describe_images
from steps.dataset import cache_filling, small_cache
from steps.dataset.cache import Cache, cache_name
from steps.dataset.cache_filling import find_or_fill
from steps.dataset.cache_reader import read_row_groups
from steps.dataset.outside import describe_outside
from steps.dataset.split import SPLITS, SplitRule
from steps.errors import RunStep, UserError
from steps.ingestion.labelled import digest, labelled_images
from steps.ingestion.tables import IMAGES
from steps.lake import delta_log
from steps.lake.delta_log import PLAIN_READER, version_error
from steps.lake.schema import PROPERTY, SCHEMA
from steps.lake.table import current_version
from steps.pipeline.outputs import Selection
from steps.settings.profile import Profile

pytestmark = pytest.mark.slow

SIZE = (16, 24)
SOURCE = "file:/landing zone"
START = datetime(2026, 7, 13)
CHOSEN = {f"{n:02}.jpg": jpeg(n) for n in range(60)}
CHOSEN |= {"1/a b.png": encoded(drawn(100, "LA"), "PNG"), "0/by folder.jpg": jpeg(101)}
BY_FOLDER = {"1/a b.png": "1", "0/by folder.jpg": "0"}


def _row(name: str, content: bytes, source: str = SOURCE, **changed) -> dict:
    """An image as ingest leaves it: one a minute, its label whether the minute is odd."""
    number = int(name[:2]) if name[:2].isdigit() else None
    return {
        "path": f"{source}/{name}",
        "sha256": hashlib.sha256(content).hexdigest(),
        "content": content,
        "device_id": None if number is None else "1",
        "captured_at": START if number is None else START + timedelta(minutes=number),
        "captured_from": "file" if number is None else "name",
        "label": BY_FOLDER.get(name) or f"{number % 2}{' ' * (number % 3 == 0)}",
        "replaced_at": None,
        "bytes": 1234,
        "width": 33,
        "height": 31,
        "camera_make": "maker",
        "camera_model": "model",
        "iso": None if number == 1 else 100,
    } | changed


EXCLUDED = [
    _row("10.unlabelled.jpg", jpeg(102), label=None),
    _row("11.rewritten.jpg", jpeg(103), replaced_at=START),
    _row("12.elsewhere.jpg", jpeg(104), source="file:/landing zone 2"),
    _row("99.again.jpg", CHOSEN["05.jpg"], label="zz"),  # equal bytes count once
]
LATER = [_row("13.later.jpg", jpeg(105))]


@dataclass(frozen=True)
class Filled:
    """A selection of a lake, and the cache that was filled from it."""

    spark: Callable
    profile: Profile
    selection: Selection
    cache: Cache


@pytest.fixture(scope="module")
def filled(lake, tmp_path_factory) -> Filled:
    profile = lake.fresh(tmp_path_factory.mktemp("filled"))
    images = IMAGES.open(lake.spark, profile)

    def append(rows: list[dict]) -> None:
        frame = lake.spark.createDataFrame(rows, images.toDF().schema)
        frame.write.format("delta").mode("append").save(IMAGES.path(profile))

    append([_row(name, content) for name, content in CHOSEN.items()] + EXCLUDED)
    version = current_version(images)
    append(LATER)

    selection = Selection(
        table=IMAGES.path(profile),
        table_id=images.detail().head()["id"],
        version=version,
        source=SOURCE,
        input_size=SIZE,
        block_minutes=1,
        guard_minutes=0,
        split_seed=0,
    )

    @contextmanager
    def spark():
        yield lake.spark

    return Filled(spark, profile, selection, find_or_fill(selection, profile, spark))


def _spark_must_not_start():
    raise AssertionError("Spark was started")


def _read(cache: Cache, split: str) -> pd.DataFrame:
    columns = ["path", "sha256", "outside", "pixels", "label"]
    frames = [
        pd.DataFrame(
            {
                "name": [path.removeprefix(f"{SOURCE}/") for path in group.path],
                "label": group.label,
                "outside": group.outside,
                "pixels": list(cache.stack(group.pixels)),
            }
        )
        for group in read_row_groups(cache, split, columns)
    ]
    return pd.concat(frames).assign(split=split)


def _all_columns(cache: Cache, split: str) -> pd.DataFrame:
    """All that a cache has of a split, as Spark reads it back."""
    rows = SparkSession.active().read.parquet(cache.url).where(F.col("split") == split)
    return rows.select(sorted(rows.columns)).orderBy("sha256").toPandas()


def test_a_cache_holds_the_selection_as_prepare_makes_it(filled):
    rows = pd.concat([_read(filled.cache, split) for split in SPLITS])
    assert sorted(rows["name"]) == sorted(CHOSEN)
    for row in rows.itertuples():
        np.testing.assert_array_equal(row.pixels, prepare(CHOSEN[row.name], SIZE))
    expected = [_row(name, b"")["label"].strip() for name in rows["name"]]
    assert [filled.cache.labels[number] for number in rows["label"]] == expected
    counts = rows.groupby("split")["label"].value_counts()
    assert filled.cache.counts == {
        split: {filled.cache.labels[number]: n for number, n in counts[split].items()}
        for split in SPLITS
    }


def test_each_device_has_its_own_region_in_the_cache(filled):
    """Images of one device have their names' own, those of no known device the other one."""
    regions = {
        "1": Region(0.5, 0, 0.5, 0.5),
        "2": Region(0, 0, 0.1, 0.1),
        "": Region(0, 0.5, 1, 0.5),
    }
    selection = filled.selection.model_copy(update={"regions": regions})
    assert cache_name(selection) != cache_name(filled.selection)
    cache = find_or_fill(selection, filled.profile, filled.spark)
    for row in pd.concat([_read(cache, split) for split in SPLITS]).itertuples():
        region = regions["" if row.name in BY_FOLDER else "1"]
        expected = prepare(CHOSEN[row.name], SIZE, region=region)
        assert row.outside == describe_outside(CHOSEN[row.name], region) != b""
        np.testing.assert_array_equal(row.pixels, expected)
        assert (row.pixels != prepare(CHOSEN[row.name], SIZE)).any()


def test_a_cache_holds_what_the_audit_reads(filled):
    images = describe_images(filled.cache).set_index("path")
    assert len(images) == len(CHOSEN)
    png = images.loc[f"{SOURCE}/1/a b.png"]
    assert np.isnan(png["jpeg_step"]) and pd.isna(png["day"]) and pd.isna(png["device"])
    first = images.loc[f"{SOURCE}/00.jpg"]
    assert first["jpeg_step"] > 1 and (first["camera"], first["iso"]) == ("maker model", 100)
    assert first["bytes_per_pixel"] == pytest.approx(1234 / (33 * 31))


def test_each_file_is_one_row_group_with_the_rows_of_the_manifest(filled):
    for split in SPLITS:
        folders = Path(filled.cache.url, f"split={split}").glob("row_group=*")
        files = [list(folder.glob("*.parquet")) for folder in folders]
        assert all(len(inside) == 1 for inside in files)
        metadata = [pq.read_metadata(inside[0]) for inside in files]
        assert [file.num_row_groups for file in metadata] == [1] * len(files)
        assert sorted(file.num_rows for file in metadata) == sorted(filled.cache.group_rows[split])


def test_an_equal_selection_finds_its_cache_without_spark(filled):
    again = find_or_fill(filled.selection.model_copy(), filled.profile, _spark_must_not_start)
    assert again == filled.cache
    other = filled.selection.model_copy(update={"split_seed": 1})
    with pytest.raises(AssertionError, match="Spark was started"):
        find_or_fill(other, filled.profile, _spark_must_not_start)


def test_a_recreated_table_has_no_cache(filled):
    before = filled.selection.model_copy(update={"table_id": "another"})
    with pytest.raises(UserError, match="was created again") as caught:
        find_or_fill(before, filled.profile, filled.spark)
    assert caught.value.fix == RunStep("ingest")


def test_a_version_that_is_gone_is_read_as_it_is_now_if_the_images_are_the_same(filled, tmp_path):
    profile = filled.profile.model_copy(
        update={"lake": str(tmp_path / "lake"), "cache": str(tmp_path / "cache")}
    )
    shutil.copytree(filled.profile.lake, profile.lake)
    with filled.spark() as spark:
        now = filled.selection.model_copy(
            update={
                "table": IMAGES.path(profile),
                "version": current_version(IMAGES.load(spark, profile)),
                "labelled": digest(labelled_images(IMAGES.read(spark, profile), SOURCE)),
            }
        )
        before = now.model_copy(update={"version": filled.selection.version, "labelled": "0" * 64})
        spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
        for statement in ("OPTIMIZE delta.`{}`", "VACUUM delta.`{}` RETAIN 0 HOURS"):
            spark.sql(statement.format(now.table))
    assert "gone" in version_error(now.table, now.version, now.table_id)
    cache = find_or_fill(now, profile, filled.spark)
    assert sum(map(cache.rows, SPLITS)) == sum(map(filled.cache.rows, SPLITS)) + len(LATER)
    with pytest.raises(UserError, match="changed since") as caught:
        find_or_fill(before, profile, filled.spark)
    assert caught.value.fix == RunStep("ingest", {"source": "/landing zone"})
    with filled.spark() as spark:
        later = f"SET TBLPROPERTIES ('{PROPERTY}' = '{SCHEMA + 1}')"
        spark.sql(f"ALTER TABLE delta.`{now.table}` {later}")
    with pytest.raises(UserError, match="a later version of this project wrote"):
        find_or_fill(before, profile, filled.spark)


@pytest.mark.parametrize(
    ("small", "most", "reader"),
    [
        (2**20, 10**6, PLAIN_READER),
        (0, 10**6, PLAIN_READER),
        (0, 0, PLAIN_READER),
        (2**20, 10**6, 0),
    ],
    ids=["few images", "some", "too many for the JVM's memory", "a table for Spark alone"],
)
def test_an_attempt_without_a_manifest_is_no_cache(filled, small, most, reader, monkeypatch):
    sent = []

    def count_rows(frame, name, real=DataFrame.hint):
        sent.append(frame.count())
        return real(frame, name)

    monkeypatch.setattr(DataFrame, "hint", count_rows)
    monkeypatch.setattr(cache_filling, "MOST_BROADCAST", most)
    monkeypatch.setattr(small_cache, "MOST_BYTES", small)
    monkeypatch.setattr(delta_log, "PLAIN_READER", reader)
    folder = Path(filled.profile.cache, cache_name(filled.selection))
    manifest = folder / "manifest.json"
    text = manifest.read_text(encoding="utf-8")
    assert json.loads(text)["url"] == filled.cache.url
    manifest.unlink()
    try:
        second = find_or_fill(filled.selection, filled.profile, filled.spark)
    finally:
        manifest.write_text(text, encoding="utf-8")
    assert second.url != filled.cache.url
    by_spark = not small or not reader
    assert sent == ([len(CHOSEN)] if most and by_spark else [])
    assert dataclasses.replace(second, url=filled.cache.url) == filled.cache
    for split in SPLITS:
        frames = [_all_columns(cache, split) for cache in (filled.cache, second)]
        pd.testing.assert_frame_equal(*frames)


def test_the_copy_time_of_a_file_does_not_split_images(filled):
    rows = pd.concat([_read(filled.cache, split) for split in SPLITS]).set_index("name")
    rule = SplitRule(filled.selection.block_minutes, filled.selection.guard_minutes, 0)
    for name in BY_FOLDER:
        sha256 = _row(name, CHOSEN[name])["sha256"]
        assert rows.loc[name, "split"] == rule.split_of(None, None, sha256)
