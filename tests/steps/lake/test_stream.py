"""The stream into the tables, with real Spark and Delta, told as one story of four ingests."""

import hashlib
import shutil
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pytest
from drawing import drawn, encoded, file_name, jpeg

from steps.lake.stream import take_in
from steps.lake.tables import current_version, open_table, table_path
from steps.settings.profile import Profile

pytestmark = pytest.mark.slow

FIRST = {
    file_name(day=13, hour=1): jpeg(1),
    file_name(day=14, hour=2, device="2", label=""): jpeg(2),
    "old shoes/a b.PNG": encoded(drawn(4, "RGBA"), "PNG"),
    "broken.jpg": jpeg(5)[:300],
    "empty.jpeg": b"",
    "notes.txt": b"not taken in",
}
REWRITTEN = file_name(day=13, hour=1)
NEW = file_name(day=15, hour=4)


@dataclass
class Ingest:
    """What stands in the tables after an ingest."""

    version: int
    images: pd.DataFrame
    quarantine: pd.DataFrame


@dataclass
class Story:
    """A landing zone, its lake, and each ingest."""

    source: str
    profile: Profile
    ingests: list[Ingest]


def _put(zone: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (zone / name).parent.mkdir(parents=True, exist_ok=True)
        (zone / name).write_bytes(content)


@pytest.fixture(scope="module")
def story(lake, tmp_path_factory) -> Story:
    home = tmp_path_factory.mktemp("stream")
    zone = home / "landing zone"
    profile = lake.fresh(home)
    told = Story(f"file:{zone}", profile, [])

    def ingest(run_id: str) -> None:
        take_in(lake.spark, profile, told.source, run_id)
        images = open_table(lake.spark, profile, "images")
        quarantine = open_table(lake.spark, profile, "quarantine").toDF()
        told.ingests.append(
            Ingest(current_version(images), images.toDF().toPandas(), quarantine.toPandas())
        )

    _put(zone, FIRST)
    ingest("one")
    ingest("two")
    _put(zone, {NEW: jpeg(6), REWRITTEN: jpeg(7)})
    ingest("three")
    shutil.rmtree(home / "lake" / "_checkpoints")
    ingest("four")
    return told


def _row(ingest: Ingest, story: Story, name: str) -> dict:
    rows = ingest.images[ingest.images["path"] == f"{story.source}/{name}"]
    assert len(rows) == 1, sorted(ingest.images["path"])
    return rows.iloc[0].to_dict()


def test_pictures_land_with_their_names_and_bytes(story):
    pictures = {n: c for n, c in FIRST.items() if n not in ("broken.jpg", "empty.jpeg")}
    del pictures["notes.txt"]
    assert len(story.ingests[0].images) == len(pictures)
    for name, content in pictures.items():
        row = _row(story.ingests[0], story, name)
        assert row["file_name"] == name.rsplit("/", 1)[-1]
        assert row["content"] == content
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert (row["bytes"], row["ingest_run_id"]) == (len(content), "one")
        assert (row["width"], row["height"]) == (33, 31)
        assert sum(map(len, row["histogram"])) == 256 * len(row["statistics"])


def test_what_the_name_says_is_in_the_columns(story):
    first, unlabelled, by_folder = (_row(story.ingests[0], story, name) for name in list(FIRST)[:3])
    assert first["captured_at"] == datetime(2026, 7, 13, 1)
    assert first["date"] == date(2026, 7, 13)
    assert (first["device_id"], first["view"], first["label"]) == ("1", "porch", "0")
    assert (unlabelled["device_id"], unlabelled["label"]) == ("2", None)
    assert by_folder["label"] == "old shoes"
    assert (by_folder["format"], by_folder["mode"]) == ("PNG", "RGBA")
    assert by_folder["date"] is None and pd.isna(by_folder["captured_at"])


def test_what_cannot_be_read_is_kept_with_its_reason(story):
    kept = story.ingests[0].quarantine.set_index("file_name")
    assert kept.loc["broken.jpg", "reason"] == "truncated"
    assert kept.loc["broken.jpg", "content"] == FIRST["broken.jpg"]
    assert kept.loc["broken.jpg", "error"]
    assert set(kept["ingest_run_id"]) == {"one"}


@pytest.mark.xfail(strict=True, reason="Spark's file source passes over files of no bytes")
def test_an_empty_file_is_kept_too(story):
    kept = story.ingests[0].quarantine.set_index("file_name")
    assert kept.loc["empty.jpeg", "reason"] == "empty"


def _ids(frame: pd.DataFrame) -> list[tuple]:
    return sorted(zip(frame["path"], frame["sha256"], frame["ingest_run_id"], strict=True))


def test_a_second_ingest_takes_nothing_twice(story):
    one, two = story.ingests[:2]
    assert _ids(two.images) == _ids(one.images)
    assert _ids(two.quarantine) == _ids(one.quarantine)
    assert two.version == one.version


@pytest.mark.xfail(
    strict=True, reason="Spark's file stream knows a file by its path and passes over new bytes"
)
def test_new_and_rewritten_files_are_new_rows(story):
    added = set(_ids(story.ingests[2].images)) - set(_ids(story.ingests[1].images))
    assert added == {
        (f"{story.source}/{name}", hashlib.sha256(content).hexdigest(), "three")
        for name, content in {NEW: jpeg(6), REWRITTEN: jpeg(7)}.items()
    }
    assert len(story.ingests[2].images) == len(story.ingests[1].images) + 2


@pytest.mark.xfail(
    strict=True, reason="Spark's file stream knows a file by its path and passes over new bytes"
)
def test_a_lost_checkpoint_duplicates_nothing(story):
    assert _ids(story.ingests[3].images) == _ids(story.ingests[2].images)
    assert _ids(story.ingests[3].quarantine) == _ids(story.ingests[2].quarantine)


def test_a_version_shows_the_table_as_it_was(lake, story):
    one = story.ingests[0]
    then = (
        lake.spark.read.format("delta")
        .option("versionAsOf", one.version)
        .load(table_path(story.profile, "images"))
    )
    assert _ids(then.select("path", "sha256", "ingest_run_id").toPandas()) == _ids(one.images)
    assert story.ingests[2].version > one.version
