"""Upkeep: fewer files, the same rows, and old versions readable within the retention."""

import io
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest
from delta.tables import DeltaTable
from drawing import file_name
from PIL import Image
from pyarrow import parquet

from steps.errors import UserError
from steps.ingestion.rows import Rules
from steps.ingestion.stream import ingest_files
from steps.ingestion.tables import IMAGES
from steps.lake import transaction
from steps.lake.disk_use import folder_size, measure_table
from steps.lake.table import current_version
from steps.lake.transaction import retry_conflicts
from steps.landing.arrivals import Limits
from steps.landing.listing import list_landing_zone
from steps.pipeline.commands import Commands
from steps.pipeline.report import Report
from steps.pipeline.step import StepRun
from steps.settings.parameters import parse_parameters
from steps.upkeep import Parameters, upkeep

pytestmark = pytest.mark.slow


def test_small_files_become_few_and_no_row_changes(lake, store, tmp_path, monkeypatch):
    zone, profile = tmp_path / "landing", lake.fresh(tmp_path)
    zone.mkdir()
    for number in range(6):
        (zone / file_name(minute=number)).write_bytes(noise(number))
    landing = list_landing_zone(str(zone))
    rules = Rules(source=landing.source, pattern=profile.file_name)
    ingest_files(lambda: lake.spark, profile, landing.files, rules, Limits(files=2, bytes=10**9))
    images = IMAGES.open(lake.spark, profile)
    before, version = rows(images.toDF()), current_version(images)

    # the session that the tests share stands for the one that the step would start and stop
    monkeypatch.setattr("steps.upkeep.spark_session", lambda *_: nullcontext(lake.spark))
    with mlflow.start_run() as run:
        opened = StepRun(
            run.info.run_id, profile, {}, Report("upkeep", run.info.run_id), Commands()
        )
        shown = upkeep(opened, Parameters(dry_run=True))
        assert current_version(images) == version and shown.compacted["images"][0] >= 3
        outputs = upkeep(opened, Parameters())

    files_before, files_after = outputs.compacted["images"]
    assert files_before >= 3 and files_after == 1
    assert rows(images.toDF()) == before
    (compacted,) = (path.removeprefix("file:") for path in images.toDF().inputFiles())
    groups = parquet.ParquetFile(compacted).metadata
    sizes = [groups.row_group(number).total_byte_size for number in range(groups.num_row_groups)]
    assert sum(sizes) > 30e6 and max(sizes) < 17e6  # a reader of one image decodes a group
    assert outputs.versions["images"] > version
    then = lake.spark.read.format("delta").option("versionAsOf", version)
    assert rows(then.load(IMAGES.path(profile))) == before
    taken = shown.megabytes["images, newest version"]
    assert taken == outputs.megabytes["images, newest version"] > 0
    assert {"images, old versions", "caches", "runs"} <= set(shown.megabytes)
    assert shown.freed["images"] == 0  # nothing is older than the retention
    assert "scores" not in outputs.compacted  # it does not exist yet


def test_what_no_kept_version_needs_is_measured_and_freed(lake, tmp_path):
    spark, path = lake.spark, str(tmp_path / "table")
    for number in range(3):
        frame = spark.createDataFrame([(number, "x" * 50_000)], "n INT, text STRING")
        frame.write.format("delta").mode("overwrite").save(path)
    table = DeltaTable.forPath(spark, path)
    hour = measure_table(spark, table, path, 200)
    assert hour.current > 0 and hour.old > hour.current and hour.deletable == 0
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    now = measure_table(spark, table, path, 0)
    log = f"{path}/_delta_log"
    before = folder_size(path) - folder_size(log)
    table.vacuum(0)
    assert 0 < now.deletable == before - (folder_size(path) - folder_size(log))
    assert folder_size(str(tmp_path / "nothing")) == folder_size("") == 0


def test_a_write_that_loses_against_another_is_repeated(lake, tmp_path, monkeypatch):
    """Each of two threads deletes rows of the same file, one after the other."""
    spark, path = lake.spark, str(tmp_path / "table")
    spark.range(6).coalesce(1).write.format("delta").save(path)
    lost = []
    search = transaction.CONFLICT.search
    monkeypatch.setattr(
        transaction,
        "CONFLICT",
        SimpleNamespace(search=lambda text: lost.append(text) or search(text)),
    )

    def delete(start: int) -> None:
        for number in range(start, 6, 2):
            table = DeltaTable.forPath(spark, path)
            retry_conflicts(partial(table.delete, f"id = {number}"))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(delete, range(2)))
    assert spark.read.format("delta").load(path).count() == 0
    assert lost, "no write met another one"


def test_any_other_error_is_not_repeated():
    calls = []
    with pytest.raises(ZeroDivisionError):
        retry_conflicts(lambda: calls.append(1) or 1 / 0)
    assert calls == [1]


def test_a_retention_that_would_break_readers_is_refused():
    with pytest.raises(UserError, match="retention_days"):
        parse_parameters(Parameters, "upkeep", ["--retention_days", "1"])


def noise(seed: int) -> bytes:
    """A JPEG of about six megabytes."""
    pixels = np.random.default_rng(seed).integers(0, 256, (1500, 1500, 3), np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=100, subsampling=0)
    return encoded.getvalue()


def rows(frame) -> list[tuple]:
    return sorted(map(tuple, frame.select("path", "sha256", "ingested_at").collect()))
