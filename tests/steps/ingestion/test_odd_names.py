"""Odd names and faults of a landing zone in one ingest, and files whose time a copy has changed."""

import os

import pytest
from drawing import jpeg
from odd_names import MATCHED, ON_DISK
from small_lake import LIMITS, make_small_lake

from steps.ingestion.stream import ingest_files
from steps.landing.archive import archive
from steps.landing.listing import list_landing_zone
from steps.landing.place import read

pytestmark = pytest.mark.slow

NAMES = [*ON_DISK, *MATCHED]


@pytest.fixture(scope="module")
def ingested(lake, tmp_path_factory):
    small = make_small_lake(lake, tmp_path_factory.mktemp("odd names"))
    small.put({name: jpeg(number) for number, name in enumerate([*NAMES, "brief.jpg"])})
    small.put({"a/@eaDir/x.jpg/SYNOPHOTO_THUMB_M.jpg": jpeg(99), "._b.jpg": b"1"})
    (small.zone / os.fsdecode(b"caf\xe9.jpg")).write_bytes(jpeg(98))
    (small.zone / "loop").symlink_to(small.zone)
    (small.zone / "gone.jpg").symlink_to("nothing")
    landing = list_landing_zone(str(small.zone))
    (small.zone / "brief.jpg").unlink()  # between listing and reading
    files = landing.files
    return small, ingest_files(lambda: small.spark, small.profile, files, small.rules(), LIMITS)


def test_each_image_is_ingested_under_its_own_name(ingested):
    small, new = ingested
    assert new == len(NAMES) + 1
    images = small.table("images")
    assert sorted(images["name"]) == sorted(NAMES)
    contents = dict(zip(images["name"], images["content"], strict=True))
    assert {name: bytes(contents[name]) for name in NAMES} == {
        name: jpeg(number) for number, name in enumerate(NAMES)
    }
    assert set(images["label"].dropna()) == {"**", "a=b", "s3:"}
    [gone] = small.table("quarantine").to_dict("records")
    assert (gone["name"], gone["reason"]) == ("brief.jpg", "gone")


def test_a_copy_with_another_time_is_the_same_image(ingested):
    small, _ = ingested
    before, versions = small.table("images"), small.versions()
    for name in NAMES:
        os.utime(small.zone / name)
    assert small.ingest() == 0
    assert small.versions() == versions
    assert small.ingest() == 0
    assert small.table("images")["modified_at"].equals(before["modified_at"])


def test_other_bytes_of_the_same_length_are_another_image(ingested):
    small, _ = ingested
    old = (small.zone / "star*.jpg").read_bytes()
    for content in (old[:-3] + b"\0" + old[-2:], old):  # and back to the first ones
        small.put({"star*.jpg": content})
        assert small.ingest() == 1
    rows = small.table("images").query("name == 'star*.jpg'")
    assert rows["replaced_at"].isna().tolist() == [False, False, True]
    assert [bytes(content) for content in rows["content"]][::2] == [old, old]


def test_each_is_archived_as_what_it_is(ingested):
    small, _ = ingested
    files = list_landing_zone(str(small.zone)).files
    kept = f"{small.source} archive"
    moved = [file for file in files if file.path.endswith(("*.jpg", "?b.jpg", "].jpg"))]
    assert archive(moved, small.source, kept) == len(moved) == 3
    assert {file.path.removeprefix(f"{kept}/") for file in list_landing_zone(kept).files} == {
        *("star*.jpg", "a?b.jpg", "img[1].jpg"),
    }
    remaining = {file.path for file in list_landing_zone(str(small.zone)).files}
    assert remaining == {file.path for file in files} - {file.path for file in moved}
    assert read(f"{kept}/img[1].jpg") == jpeg(0)
