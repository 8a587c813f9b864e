"""Upkeep: fewer files, the same rows, and old versions readable within the retention."""

from contextlib import nullcontext

import mlflow
import pytest
from drawing import file_name, jpeg

from steps.errors import UserError
from steps.ingestion.arrivals import Limits
from steps.ingestion.landing import list_landing_zone
from steps.ingestion.rows import Rules
from steps.ingestion.stream import ingest_files
from steps.ingestion.tables import IMAGES
from steps.lake.tables import current_version
from steps.pipeline.commands import Commands
from steps.pipeline.report import Report
from steps.pipeline.step import StepRun
from steps.settings.parameters import parse
from steps.upkeep import Parameters, upkeep

pytestmark = pytest.mark.slow


def test_small_files_become_few_and_no_row_changes(lake, store, tmp_path, monkeypatch):
    zone, profile = tmp_path / "landing", lake.fresh(tmp_path)
    zone.mkdir()
    for number in range(6):
        (zone / file_name(minute=number)).write_bytes(jpeg(number))
    landing = list_landing_zone(str(zone))
    rules = Rules(source=landing.source, pattern=profile.file_name)
    ingest_files(lake.spark, profile, landing.files, rules, Limits(files=2, bytes=10**9))
    images = IMAGES.open(lake.spark, profile)
    before, version = rows(images.toDF()), current_version(images)

    # the session that the tests share stands for the one that the step would start and stop
    monkeypatch.setattr("steps.upkeep.spark_session", lambda *_: nullcontext(lake.spark))
    with mlflow.start_run() as run:
        opened = StepRun(
            run.info.run_id, profile, {}, Report("upkeep", run.info.run_id), Commands()
        )
        outputs = upkeep(opened, Parameters())

    files_before, files_after = outputs.compacted["images"]
    assert files_before >= 3 and files_after == 1
    assert rows(images.toDF()) == before
    assert outputs.versions["images"] > version
    then = lake.spark.read.format("delta").option("versionAsOf", version)
    assert rows(then.load(IMAGES.path(profile))) == before
    assert "scores" not in outputs.compacted  # it does not exist yet


def test_a_retention_that_would_break_readers_is_refused():
    with pytest.raises(UserError, match="retention_days"):
        parse(Parameters, "upkeep", ["--retention_days", "1"])


def rows(frame) -> list[tuple]:
    return sorted(map(tuple, frame.select("path", "sha256", "ingested_at").collect()))
