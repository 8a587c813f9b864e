"""Ingest as a user sees it: what the terminal says of refused files and of labels."""

import pytest
from bakery import kept
from drawing import file_name, jpeg
from lake_site import lake_site
from mlflow import MlflowClient

from steps import ingest, tune
from steps.pipeline.outputs import IngestOutputs
from steps.pipeline.run_files import read_outputs

pytestmark = pytest.mark.slow

GOOD = {"IMG_0001.jpg": jpeg(1), "IMG_0002.jpg": jpeg(2), file_name(label="_0"): jpeg(3)}
REFUSED = {"IMG_0003.jpg": jpeg(4)[:300], "IMG_0004.jpg": jpeg(5)[:300], "IMG_0005.jpg": b""}


@pytest.fixture
def site(lake, empty_store, tmp_path):
    with lake_site(lake.spark, empty_store, tmp_path) as site:
        yield site


def test_a_source_of_which_no_file_is_an_image_fails_until_one_is(site, caplog):
    site.put(REFUSED)
    for parameters in ({}, {"retry_quarantine": "true"}):
        with pytest.raises(SystemExit) as ended:
            site.ingest(**parameters)
        said = str(ended.value)
        assert "\n" not in said and "-P retry_quarantine=true" in said.partition("; run: ")[2]
        assert f"all 3 files of {site.zone} are in quarantine (2 truncated, 1 empty)" in said
    site.put({"IMG_0003.jpg": jpeg(4)})
    site.ingest()
    assert "in quarantine: 1 empty, 1 truncated; once" in caplog.text
    assert (
        "classes: none; 1 images without a label; to label them, run: mlflow run ." in caplog.text
    )
    assert f"-e label -P profile={site.home}/test.yaml -P source={site.zone}" in caplog.text
    statuses = [run.info.status for run in MlflowClient().search_runs(["0"])]
    assert statuses == ["FINISHED", "FAILED", "FAILED"]


def test_labels_land_on_images_that_are_there_and_the_others_are_named(site, caplog):
    site.put(GOOD)
    site.ingest()
    profile = f"--profile={site.home}/test.yaml"
    with pytest.raises(SystemExit) as ended:
        tune.STEP.main([profile])
    said = str(ended.value)
    assert f"of the 3 images of {site.zone} 1 are labelled 0, and a network needs two" in said
    assert f"-e ingest -P profile={site.home}/test.yaml -P source={site.zone} -P labels=" in said
    site.merge(
        {"IMG_0001.jpg": "1", "IMG_0002.jpg": "0"} | {f"IMG_1{n}.jpg": "1" for n in range(5)}
    )
    assert "2 labels added, 0 changed" in caplog.text
    unmatched = f"5 of the 7 keys in {site.home}/labels.csv match no image of {site.zone}"
    assert f"{unmatched}, such as IMG_10.jpg, IMG_11.jpg, IMG_12.jpg;" in caplog.text


def test_a_lake_that_cannot_be_used_is_named_before_spark_starts(site, monkeypatch):
    site.put(GOOD)
    images = site.home / "lake" / "images"
    images.mkdir(parents=True)
    (images / "part-0.parquet").write_bytes(b"PAR1")
    started = []
    monkeypatch.setattr(ingest, "spark_session", lambda *_: started.append(1))
    with pytest.raises(SystemExit) as ended:
        site.ingest()
    assert "files and no Delta log" in str(ended.value) and started == []


def test_what_finds_nothing_new_starts_no_spark_and_counts_the_same(site, monkeypatch):
    site.put(GOOD | REFUSED)
    site.put({"status.jpg": jpeg(6)})
    site.ingest()

    def no_spark(*_):
        raise AssertionError("Spark was asked for")

    monkeypatch.setattr(ingest, "spark_session", no_spark)
    site.ingest()
    again, first = MlflowClient().search_runs(["0"], order_by=["attributes.start_time DESC"])
    left = [read_outputs(run.info.run_id, IngestOutputs) for run in (first, again)]
    assert (left[0].images, left[0].new_images, left[0].quarantined) == (4, 4, 3)
    assert left[1] == left[0].model_copy(update={"new_images": 0})
    pages = [kept(run)["report.html"] for run in (first, again)]
    for page in pages:
        for title in ("By label", "Size", "Samples of each label", "In quarantine"):
            assert f">{title}<" in page
        assert page.count("data:image/jpeg") == 4
