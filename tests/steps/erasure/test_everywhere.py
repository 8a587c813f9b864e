"""An image of a person is planted wherever the project keeps images, and has to be gone."""

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from agent_fakes import FakeClock, agent_of
from drawing import file_name, jpeg
from lake_site import Site, lake_site
from mlflow import MlflowClient
from traces import pixels, planted, traces
from waiting_images import frame

from edge.agent.settings import LandingSettings
from edge.inference.reference_images import REFERENCE_IMAGES_FILE, ReferenceImage, ReferenceImages
from edge.outbox.reason import Reason
from edge.protocol.release import RELEASE_TAG, Release
from steps import erase
from steps.erasure import derived, erasure, releases
from steps.ingestion.label_rows import LabelRow, add_labels
from steps.ingestion.tables import IMAGES, SCORES
from steps.labelling.describing import RECORD
from steps.labelling.journal import Journal, journal_folder
from steps.release.pyfunc import pyfunc_arguments
from steps.release.statement import release_version
from steps.settings.profile import Profile, load_profile

pytestmark = pytest.mark.slow

HASH = hashlib.sha256(planted()).hexdigest()
OTHER = hashlib.sha256(jpeg(0)).hexdigest()
PLANTED = file_name(device="7", hour=3)
ZONE = {
    **{file_name(hour=hour, label=f"_{hour % 2}"): jpeg(hour) for hour in range(3)},
    PLANTED: planted(),
    file_name(device="1", hour=9): planted(),
    file_name(device="7", hour=4): planted()[:-400],  # quarantined
}


@pytest.fixture
def site(lake, empty_store, tmp_path, monkeypatch):
    with lake_site(lake.spark, empty_store, tmp_path) as site:
        text = yaml.safe_load((tmp_path / "test.yaml").read_text())
        text["release"] = {"key_file": f"{tmp_path}/release.pem"}
        (tmp_path / "test.yaml").write_text(yaml.safe_dump(text))
        monkeypatch.setattr(derived, "data_home", lambda: tmp_path)
        with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
            place = f"{tmp_path}/mlruns/0"
            database.execute("UPDATE experiments SET artifact_location = ?", (place,))
        yield site


def _profile(site: Site) -> Profile:
    return load_profile(f"{site.home}/test.yaml")


def _erase(site: Site, **given: str) -> dict[str, int]:
    erase.STEP.main(
        [f"--{k}={v}" for k, v in {"profile": f"{site.home}/test.yaml", **given}.items()]
    )
    run = mlflow.last_active_run()
    return json.loads(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/outputs.json"))


def _plant_in_tables(site: Site) -> None:
    profile, at = _profile(site), datetime(2026, 7, 14, tzinfo=UTC)
    site.put(ZONE)
    site.ingest()
    site.merge({file_name(hour=0): "1"})  # which makes another version
    site.put({"b.jpg": planted()}, zone="other")
    site.ingest("other", archive=f"{site.home}/archive")
    label = LabelRow("1" * 32, HASH, "1", "ann", "key", at)
    add_labels(site.spark, profile, [label, label._replace(id="2" * 32, sha256=OTHER)], "two")
    SCORES.open(site.spark, profile)
    scores = site.spark.createDataFrame([(HASH, 0.5), (OTHER, 0.5)], "sha256 STRING, score DOUBLE")
    scores.write.format("delta").mode("append").save(SCORES.path(profile))


def _plant_beside(site: Site) -> None:
    profile = _profile(site)
    for name, hashes in (("0" * 16, [HASH, OTHER]), ("1" * 16, [OTHER])):
        folder = Path(profile.cache, name)
        group = folder / "attempt" / "split=train" / "row_group=0"
        group.mkdir(parents=True)
        grey = np.full((32, 32, 3), 9, np.uint8).tobytes()
        shown = [pixels() if one == HASH else grey for one in hashes]
        pq.write_table(pa.table({"sha256": hashes, "pixels": shown}), group / "a.parquet")
        (folder / "manifest.json").write_text("{}")
    features = np.zeros(2, RECORD)
    features["sha256"] = [HASH, OTHER]
    Path(profile.cache, "labelling").mkdir()
    features.tofile(Path(profile.cache, "labelling", "features-1-128"))
    journal = Journal(journal_folder(profile))
    row = LabelRow("3" * 32, HASH, "1", "ann", "key", datetime.now(UTC))
    journal.append([row, row._replace(id="4" * 32, sha256=OTHER)])
    journal.close()


def _plant_in_release(site: Site, exported: Path) -> None:
    folder = Path(shutil.copytree(exported, site.home / "export"))
    scores = {"model.onnx": [0.5, 0.5]}
    shown = [ReferenceImage(planted(), scores, HASH), ReferenceImage(jpeg(0), scores, OTHER)]
    ReferenceImages(tuple(shown)).write(folder)
    with pyfunc_arguments(folder) as arguments:
        logged = mlflow.pyfunc.log_model(name="onnx", **arguments | {"input_example": None})
    mlflow.end_run()
    version = mlflow.register_model(logged.model_uri, "package-onnx")
    files = [folder / name for name in ("model.onnx", "record.json", REFERENCE_IMAGES_FILE)]
    release_version("package-onnx", version.version, files)
    MlflowClient().set_registered_model_alias("package-onnx", "champion", version.version)
    pulled = site.home / "data" / "device" / "package-onnx"
    shutil.copytree(folder, pulled / "release-1")
    shutil.rmtree(folder)


def _device(site: Site):
    """A device that sends to the landing zone, and could not yet."""
    clock = FakeClock(datetime(2026, 7, 13, 12, tzinfo=UTC))
    landing = LandingSettings(str(site.zone))
    (site.home / "pi").mkdir(exist_ok=True)
    return agent_of(site.home / "pi", clock, device="7", landing=landing)


def _is_clean(site: Site) -> bool:
    profile = _profile(site)
    rows = [(t, t.read(site.spark, profile)) for t in (IMAGES, SCORES)]
    return all(
        OTHER in (found := {row["sha256"] for row in frame.collect()}) and HASH not in found
        for _, frame in rows
    )


def test_after_an_erasure_no_byte_of_the_image_is_left_anywhere(site, exported, monkeypatch):
    _plant_in_tables(site)
    _plant_beside(site)
    _plant_in_release(site, exported)
    device = _device(site)
    moment = device.parts.clock.now()
    kept = frame(encoded=planted())
    assert device.parts.queue.keep(kept, "imx708", Reason.MOTION, moment)
    before = traces(site.home)
    for place in ("zone/", "archive/", "lake/images", "lake/quarantine", "cache/00", "mlruns/",
                  "data/device", "pi/store/images"):  # fmt: skip
        assert any(one.startswith(place) for one in before), place
    assert {Path(one).name for one in before if one.startswith("mlruns/")} == {
        "report.html", REFERENCE_IMAGES_FILE,
    }  # fmt: skip
    assert len([one for one in before if one.startswith("lake/images")]) >= 2  # an older version

    shown = _erase(site, device="7", dry_run="true")
    assert traces(site.home) == before and not (site.zone / "erased.json").exists()
    # killed after each stage: what follows completes it
    for module, name in (
        *((erasure, "note_pending"), (erasure, "erase_rows"), (derived, "erase_labelling")),
        (releases, "release_changed"),
    ):
        with monkeypatch.context() as patch:
            real = getattr(module, name)

            def dies(*arguments, real=real, name=name):
                if name != "release_changed":
                    real(*arguments)
                raise KeyboardInterrupt

            patch.setattr(module, name, dies)
            with pytest.raises(SystemExit):
                _erase(site, device="7")
    removed = _erase(site, device="7")
    assert removed["images"] == shown["images"] == 2
    while device.sender.work():
        pass
    assert traces(site.home) == []
    _check_what_stays(site, shown["removed"])


def _check_what_stays(site: Site, shown: dict[str, int]) -> None:
    profile = _profile(site)
    assert _is_clean(site)
    assert shown == {
        "landing zone and archive": 4,
        "images: rows": 3,
        "images: files of older versions": shown["images: files of older versions"],
        "quarantine: rows": 1,
        "quarantine: files of older versions": 0,
        "labels: rows": 1,
        "labels: files of older versions": 0,
        "scores: rows": 1,
        "scores: files of older versions": 0,
        "caches": 1,
        "features of labelling and monitoring": 1,
        "labels of an interrupted sitting": 1,
        "thumbnails in reports": shown["thumbnails in reports"],
        "models pulled by -e device": 1,
        "reference images of models": 1,
    }
    assert shown["images: files of older versions"] > 0 < shown["thumbnails in reports"]
    assert len([*site.zone.glob("*.jpg")]) == 3
    assert [path.name for path in Path(profile.cache).glob("?" * 16)] == ["1" * 16]
    journal = Journal(journal_folder(profile))
    assert [row.sha256 for row in journal.rows] == [OTHER]
    journal.close()
    version = MlflowClient().get_model_version_by_alias("package-onnx", "champion")
    release = Release.parse(version.tags[RELEASE_TAG])
    [file] = [one for one in release.files if one.name == REFERENCE_IMAGES_FILE]
    local = mlflow.artifacts.download_artifacts(
        f"models:/package-onnx/{version.version}/artifacts/{REFERENCE_IMAGES_FILE}"
    )
    assert file.is_at(Path(local)) and release.release > 1 and release.signers
    assert [one.sha256 for one in ReferenceImages.read(Path(local).parent).images] == [OTHER]
    listed = json.loads((site.zone / "erased.json").read_text())
    assert listed["rules"][0]["device"] == "7" and listed["files"] and not listed["sha256"]
    _land_again(site)


def _land_again(site: Site) -> None:
    """What lands again, under whatever name, is refused, and goes with the next erasure."""
    site.put({"copy.jpg": planted(), file_name(device="7", hour=5): jpeg(77)})
    site.ingest()
    assert _is_clean(site)
    quarantined = site.spark.read.format("delta").load(f"{site.home}/lake/quarantine").collect()
    assert {(row["reason"], row["content"]) for row in quarantined} == {("erased", None)}
    assert _erase(site, sha256="0" * 64)["removed"]["landing zone and archive"] == 2
    assert traces(site.home) == []


def test_age_erases_through_upkeep_and_keeps_no_hashes(site, monkeypatch):
    now = datetime.now(UTC)
    new = f"{now:%Y-%m-%dT%H}%3A00%3A00_rpi_sensor_1_porch_0.jpg"
    site.put({PLANTED: planted(), new: jpeg(1)})
    site.ingest()
    from steps import upkeep

    for module in (upkeep, erasure):
        monkeypatch.setattr(module, "spark_session", lambda *_: nullcontext(site.spark))
    # the landing zone is away at first: what lies there is erased once it is back
    away = site.zone.rename(site.home / "away")
    for left in ([f"away/{PLANTED}"], []):
        upkeep.STEP.main([f"--profile={site.home}/test.yaml", "--override=retention_days=30"])
        assert traces(site.home) == left
        if left:
            away.rename(site.zone)
    images = IMAGES.read(site.spark, _profile(site)).collect()
    assert [row["file_name"] for row in images] == [new]
    listed = json.loads(Path(site.home, "lake/_erased/erased.json").read_text())
    assert len(listed["rules"]) == 1 and not listed["sha256"]
