"""Scores by Spark: once each, by the model of the moment, bad images with their reason."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest
from drawing import jpeg
from pyspark.sql.classic.dataframe import DataFrame

from edge.inference.record import ModelRecord
from edge.inference.region import Region
from edge.inference.scoring import Scorer
from edge.protocol.landing_names import image_name
from edge.protocol.privacy import blacken_file
from steps.errors import UserError
from steps.ingestion.rows import Rules
from steps.ingestion.stream import ingest_files
from steps.ingestion.tables import SCORES
from steps.lake.lease import lease
from steps.landing.arrivals import Limits
from steps.landing.listing import list_landing_zone
from steps.scoring import table
from steps.scoring.table import Scoring, ScoringModel, ledger_of

pytestmark = pytest.mark.slow


@pytest.fixture
def registry(exported):
    """What the registry names, which a test changes."""
    return {"model": _model("1", exported)}


def _model(version: str, folder) -> ScoringModel:
    return ScoringModel("it's", version, str(folder))


@pytest.fixture
def scoring(lake, registry, tmp_path):
    return scoring_by("it's-onnx@champion", lake, registry, tmp_path)


def scoring_by(alias: str, lake, registry, tmp_path) -> Scoring:
    return Scoring(lake.spark, lake.fresh(tmp_path), alias, lambda: registry["model"], "run")


def rows_of(lake, tmp_path) -> list:
    table = SCORES.open(lake.spark, lake.fresh(tmp_path)).toDF()
    return sorted(table.collect(), key=lambda row: (row["path"], row["model_version"]))


def test_new_files_are_scored_once_and_by_the_champion_of_the_moment(
    lake, scoring, registry, exported, other_exported, tmp_path
):
    folder = tmp_path / "landing"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
    (folder / "5.jpg").write_bytes(b"no image")
    (folder / "6.jpg").write_bytes(b"")
    (folder / "7.jpg").write_bytes(jpeg(7)[:300])
    assert scoring.score_files(str(folder)) == 8
    rows = rows_of(lake, tmp_path)
    assert [row["reason"] for row in rows[:5]] == [None] * 5
    predictions = Scorer(exported).predict([jpeg(number) for number in range(5)])
    assert [row["score"] for row in rows[:5]] == pytest.approx(
        [prediction.score for prediction in predictions], abs=1e-5
    )
    for row, reason in zip(rows[5:], ("not an image", "empty", "truncated"), strict=True):
        assert row["score"] is None and row["label"] is None and reason in row["reason"]
        assert len(row["sha256"]) == 64
    assert {row["model"] for row in rows} == {"it's"}

    registry["model"] = _model("2", other_exported)
    (folder / "8.jpg").write_bytes(jpeg(8))
    assert scoring.score_files(str(folder)) == 1
    assert scoring.score_files(str(folder)) == 0
    rows = rows_of(lake, tmp_path)
    assert [row["model_version"] for row in rows] == ["1"] * 8 + ["2"]
    (prediction,) = Scorer(other_exported).predict([jpeg(8)])
    assert rows[8]["score"] == pytest.approx(prediction.score, abs=1e-5)


@pytest.mark.parametrize(
    ("most_bytes", "most_rows", "held"),
    [(10**9, 0, [0, 3]), (0, 1, [0, 1]), (0, 0, [0])],
    ids=["few answers", "few images without one", "many of both"],
)
def test_an_ingested_image_is_scored_once_and_the_jvm_holds_few_keys(
    lake, scoring, tmp_path, monkeypatch, most_bytes, most_rows, held
):
    monkeypatch.setattr(table, "MOST_BYTES", most_bytes)
    monkeypatch.setattr(table, "MOST_ROWS", most_rows)
    sent = []

    def count_rows(frame, name, real=DataFrame.hint):
        sent.append(frame.count())
        return real(frame, name)

    monkeypatch.setattr(DataFrame, "hint", count_rows)
    zone = tmp_path / "landing"
    zone.mkdir()
    for numbers in ([0, 1, 2], [3]):
        for number in numbers:
            (zone / f"{number}.jpg").write_bytes(jpeg(number))
        landing = list_landing_zone(str(zone))
        rules = Rules(landing.source, scoring.profile.file_name)
        limits = Limits(10, 10**9)
        ingest_files(lambda: lake.spark, scoring.profile, landing.files, rules, limits)
        scoring.score_images(SimpleNamespace(version=None, source=landing.source))
    assert sent == held
    scored = [row["path"].rpartition("/")[2] for row in rows_of(lake, tmp_path)]
    assert scored == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]


def test_images_have_the_region_of_the_device_in_their_name(
    lake, scoring, registry, exported, tmp_path
):
    regions = {"7": Region(0, 0, 0.5, 0.5), "": Region(0.5, 0.5, 0.5, 0.5)}
    files = shutil.copytree(exported, tmp_path / "version-3")
    replace(ModelRecord.read(files), regions=regions).write(files)
    registry["model"] = _model("3", files)
    folder = tmp_path / "landing"
    folder.mkdir()
    for device in ("7", "8"):
        name = image_name(datetime(2026, 7, 13, tzinfo=UTC), device, "porch", None)
        (folder / name).write_bytes(jpeg(1))
    (folder / "unknown.jpg").write_bytes(jpeg(2))
    assert scoring.score_files(str(folder)) == 3
    of_7, of_8, unknown = (row["probabilities"] for row in rows_of(lake, tmp_path))
    scorer = Scorer(files)
    for found, image, device in ((of_7, 1, "7"), (of_8, 1, ""), (unknown, 2, "")):
        (prediction,) = scorer.predict([jpeg(image)], device)
        assert found == pytest.approx(prediction.probabilities, abs=1e-5)
    assert of_7 != pytest.approx(of_8, abs=1e-3)


def test_the_model_sees_what_ingest_would_keep_of_a_file(lake, scoring, exported, tmp_path):
    masks = [Region(0, 0, 0.5, 1)]
    scoring.profile = scoring.profile.model_copy(update={"privacy_masks": {"7": masks}})
    folder = tmp_path / "landing"
    folder.mkdir()
    files = [("7", jpeg(1)), ("7", jpeg(2)[:300]), ("8", jpeg(3))]
    for second, (device, content) in enumerate(files):
        name = image_name(datetime(2026, 7, 13, 0, 0, second, tzinfo=UTC), device, "porch", None)
        (folder / name).write_bytes(content)
    assert scoring.score_files(str(folder)) == 3
    masked, damaged, other = rows_of(lake, tmp_path)
    for row, content in ((masked, blacken_file(jpeg(1), masks)), (other, jpeg(3))):
        assert row["sha256"] == sha256(content).hexdigest()
        (prediction,) = Scorer(exported).predict([content])
        assert row["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-5)
    assert "truncated" in damaged["reason"] and damaged["sha256"] is None


def test_another_alias_scores_the_same_files_too(lake, scoring, registry, other_exported, tmp_path):
    folder = tmp_path / "landing"
    folder.mkdir()
    (folder / "0.jpg").write_bytes(jpeg(0))
    assert scoring.score_files(str(folder)) == 1
    registry["model"] = _model("2", other_exported)
    canary = scoring_by("it's-onnx@canary", lake, registry, tmp_path)
    assert canary.score_files(str(folder)) == 1
    assert scoring.score_files(str(folder)) == canary.score_files(str(folder)) == 0
    assert [row["model_version"] for row in rows_of(lake, tmp_path)] == ["1", "2"]


def test_who_does_not_hold_the_ledger_notes_and_scores_nothing(lake, scoring, tmp_path):
    folder = tmp_path / "landing"
    folder.mkdir()
    (folder / "0.jpg").write_bytes(jpeg(0))
    ledger = Path(ledger_of(lake.fresh(tmp_path), str(folder), "it's-onnx@champion"))
    with lease(str(ledger), "first") as first:
        # as by another machine that took this one for dead
        claim = json.loads((ledger / "lease.json").read_text())
        (ledger / "lease.json").write_text(json.dumps(claim | {"run_id": "x", "host": "elsewhere"}))
        with pytest.raises(UserError, match="run x took .*; nothing is lost"):
            scoring.score_files(str(folder), first.require)
    assert rows_of(lake, tmp_path) == [] and not (ledger / "arrivals").exists()
    (ledger / "lease.json").unlink()
    with lease(str(ledger), "second") as second:
        assert scoring.score_files(str(folder), second.require) == 1
    assert (ledger / "arrivals").exists() and len(rows_of(lake, tmp_path)) == 1


@pytest.mark.parametrize("spark_writes", [False, True])
def test_a_batch_that_is_written_twice_counts_once(lake, scoring, exported, tmp_path, spark_writes):
    """Where a table asks more of a writer than to add files, Spark writes the same rows."""
    if spark_writes:
        lake.spark.sql(
            f"ALTER TABLE delta.`{tmp_path}/lake/scores` ADD CONSTRAINT a CHECK (model IS NOT NULL)"
        )
    folder = tmp_path / "landing"
    folder.mkdir()
    (folder / "0.jpg").write_bytes(jpeg(0))
    (folder / "1.jpg").write_bytes(b"no image")
    scoring.score_files(str(folder))
    (done,) = (tmp_path / "lake" / "_ingest").glob("*/done")
    done.unlink()
    scoring.score_files(str(folder))
    good, bad = rows_of(lake, tmp_path)
    (prediction,) = Scorer(exported).predict([jpeg(0)])
    assert (good["label"], good["reason"]) == (prediction.label, None)
    assert good["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-5)
    assert (bad["score"], bad["probabilities"]) == (None, None) and "image" in bad["reason"]
    assert (bad["scored_by"], bad["score_run_id"]) == ("spark", "run")
    assert good["scored_at"] == bad["scored_at"] and good["latency_ms"] > 0
    found = lake.spark.read.format("delta").load(f"{tmp_path}/lake/scores")
    assert found.where(f"path = '{good['path']}' AND scored_by = 'spark'").count() == 1


def test_a_worker_imports_neither_mlflow_nor_tensorflow():
    code = (
        "import sys, steps.scoring.worker, edge.inference.scoring, steps.ingestion.rows\n"
        "heavy = {'mlflow', 'tensorflow', 'pydantic', 'petastorm'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
