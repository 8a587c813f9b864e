"""From the landing zone into the tables with real Spark and Delta: a story of seven ingests."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest
from drawing import drawn, encoded, file_name, jpeg

from steps.ingestion.rows import Rules
from steps.ingestion.stream import ingest_files
from steps.ingestion.tables import IMAGES, QUARANTINE
from steps.lake.table import current_version
from steps.landing.arrivals import Limits
from steps.landing.listing import LandedFile, list_landing_zone
from steps.settings.profile import Profile, load_profile

pytestmark = pytest.mark.slow

FIRST = {
    file_name(day=13, hour=1): jpeg(1),
    file_name(day=14, hour=2, device="2", label=""): jpeg(2),
    "old shoes/a b.PNG": encoded(drawn(4, "RGBA"), "PNG"),
    "copies/a b.PNG": encoded(drawn(4, "RGBA"), "PNG"),
    "unnamed.jpg": jpeg(8),
    file_name(day=16): jpeg(5)[:300],
    file_name(day=17): b"",
    "notes.txt": b"not ingested",
}
REWRITTEN = file_name(day=13, hour=1)
NEW = file_name(day=15, hour=4)
LAST = file_name(day=15, hour=5)


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
        rules = Rules(source=told.source, pattern=profile.file_name, run_id=run_id)
        ingest_files(
            lambda: lake.spark,
            profile,
            list_landing_zone(str(zone)).files,
            rules,
            Limits(files=3, bytes=10**9),
        )
        images = IMAGES.open(lake.spark, profile)
        quarantine = QUARANTINE.open(lake.spark, profile).toDF()
        told.ingests.append(
            Ingest(current_version(images), images.toDF().toPandas(), quarantine.toPandas())
        )

    _put(zone, FIRST)
    ingest("one")
    ingest("two")
    _put(zone, {NEW: jpeg(6), REWRITTEN: jpeg(7)})
    ingest("three")
    (done,) = (home / "lake" / "_ingest").glob("*/done")
    done.unlink()
    ingest("four")
    shutil.rmtree(home / "lake" / "_ingest")
    ingest("five")
    _put(zone, {LAST: jpeg(9)})
    ingest("six")
    ingest("seven")
    return told


def _row(ingest: Ingest, story: Story, name: str) -> dict:
    rows = ingest.images[ingest.images["path"] == f"{story.source}/{name}"]
    assert len(rows) == 1, sorted(ingest.images["path"])
    return rows.iloc[0].to_dict()


def test_images_land_with_their_names_and_bytes(story):
    images = {name: FIRST[name] for name in list(FIRST)[:5]}
    assert len(story.ingests[0].images) == len(images)
    for name, content in images.items():
        row = _row(story.ingests[0], story, name)
        assert row["file_name"] == name.rsplit("/", 1)[-1]
        assert row["content"] == content
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert (row["bytes"], row["ingest_run_id"]) == (len(content), "one")
        assert (row["width"], row["height"]) == (33, 31)
        assert sum(map(len, row["histogram"])) == 256 * len(row["statistics"])


def test_the_fields_of_the_name_are_in_the_columns(story):
    names = [*list(FIRST)[:3], "unnamed.jpg"]
    first, unlabelled, by_folder, unnamed = (_row(story.ingests[0], story, name) for name in names)
    assert first["captured_at"] == datetime(2026, 7, 13, 1)
    assert first["date"] == date(2026, 7, 13)
    assert (first["device_id"], first["view"], first["label"]) == ("1", "porch", "0")
    assert (unlabelled["device_id"], unlabelled["label"]) == ("2", None)
    assert by_folder["label"] == "old shoes"
    assert (unnamed["label"], unnamed["device_id"], unnamed["captured_from"]) == (
        None,
        None,
        "file",
    )
    assert (by_folder["format"], by_folder["mode"]) == ("PNG", "RGBA")
    assert [row["captured_from"] for row in (first, unlabelled, by_folder)] == [
        *("name", "name"),
        "file",
    ]


def test_rejected_files_are_kept_with_their_reason(story):
    kept = story.ingests[0].quarantine.set_index("file_name")
    assert kept["reason"].to_dict() == {
        file_name(day=16): "truncated",
        file_name(day=17): "empty",
    }
    assert all(kept.loc[name, "content"] == FIRST[name] for name in kept.index)
    assert kept["error"].str.len().min() > 0
    assert set(kept["ingest_run_id"]) == {"one"}


def test_equal_bytes_are_marked_once(story):
    marked = story.ingests[0].images.dropna(subset="duplicate_of")
    pair = {f"{story.source}/{folder}/a b.PNG" for folder in ("copies", "old shoes")}
    assert {*marked["path"], *marked["duplicate_of"]} == pair
    assert len(marked) == 1


def _ids(frame: pd.DataFrame) -> list[tuple]:
    return sorted(zip(frame["path"], frame["sha256"], frame["ingest_run_id"], strict=True))


def test_a_second_ingest_adds_nothing(story):
    one, two = story.ingests[:2]
    assert _ids(two.images) == _ids(one.images)
    assert _ids(two.quarantine) == _ids(one.quarantine)
    assert two.version == one.version


def test_new_and_rewritten_files_are_new_rows(story):
    added = set(_ids(story.ingests[2].images)) - set(_ids(story.ingests[1].images))
    assert added == {
        (f"{story.source}/{name}", hashlib.sha256(content).hexdigest(), "three")
        for name, content in {NEW: jpeg(6), REWRITTEN: jpeg(7)}.items()
    }
    assert len(story.ingests[2].images) == len(story.ingests[1].images) + 2
    replaced = story.ingests[2].images.dropna(subset="replaced_at")
    assert replaced["sha256"].tolist() == [hashlib.sha256(FIRST[REWRITTEN]).hexdigest()]


@pytest.mark.parametrize("ingest", [3, 4], ids=["mark", "ledger"])
def test_a_lost_mark_or_log_duplicates_nothing(story, ingest):
    assert _ids(story.ingests[ingest].images) == _ids(story.ingests[2].images)
    assert _ids(story.ingests[ingest].quarantine) == _ids(story.ingests[2].quarantine)


def test_after_a_lost_log_only_new_files_are_ingested(story):
    five, six, seven = (_ids(story.ingests[number].images) for number in (4, 5, 6))
    assert [(path, run) for path, _, run in set(six) - set(five)] == [
        (f"{story.source}/{LAST}", "six")
    ]
    assert len(six) == len(five) + 1 and seven == six


def test_a_version_shows_the_table_as_it_was(lake, story):
    one = story.ingests[0]
    then = (
        lake.spark.read.format("delta")
        .option("versionAsOf", one.version)
        .load(IMAGES.path(story.profile))
    )
    assert _ids(then.select("path", "sha256", "ingest_run_id").toPandas()) == _ids(one.images)
    assert story.ingests[2].version > one.version


def test_the_images_of_a_day_are_in_few_chunks_whatever_their_folders(tmp_path):
    """A chunk has a data file at least for each of its days: else they grow by the square."""
    profile = load_profile("local", f"lake={tmp_path / 'lake'}")
    days, hours, size = 10, 20, 20
    names = [file_name(day=1 + day, hour=hour) for day in range(days) for hour in range(hours)]
    folders = [hashlib.sha256(name.encode()).hexdigest()[:2] for name in names]
    arrived = sorted(
        LandedFile(f"file:/zone/{folder}/{name}", 1, datetime.now(UTC))
        for folder, name in zip(folders, names, strict=True)
    )
    rules = Rules(source="file:/zone", pattern=profile.file_name)

    def no_spark():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ingest_files(no_spark, profile, arrived, rules, Limits(size, 10**9))
    chunks = [
        {json.loads(line)["path"].rpartition("/")[2][:10] for line in path.read_text().splitlines()}
        for path in (tmp_path / "lake").glob("_ingest/*/arrivals/0*.json")
    ]
    assert len(chunks) == len(names) // size
    assert sum(map(len, chunks)) <= len(chunks) + days
