"""The landing zone: which files count, what changes its fingerprint, and its errors."""

import os

import pytest
from drawing import file_name, jpeg

from steps.errors import UserError
from steps.ingestion.landing import fingerprint, list_landing_zone


@pytest.fixture
def zone(tmp_path):
    folder = tmp_path / "landing"
    (folder / "shoes").mkdir(parents=True)
    (folder / file_name()).write_bytes(jpeg(1))
    (folder / "shoes" / "a b.PNG").write_bytes(jpeg(2))
    return folder


def _nothing(folder):
    pass


def _hidden_only(folder):
    (folder / ".cache").mkdir()
    (folder / ".cache" / "1.jpg").write_bytes(b"1")
    (folder / ".2.jpg").write_bytes(b"2")


def _text_only(folder):
    (folder / "notes.txt").write_text("no image")


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (_nothing, "is empty; put images there"),
        (_hidden_only, "is empty; put images there"),
        (_text_only, "none of the 1 files in"),
    ],
)
def test_a_folder_without_images_is_an_error(tmp_path, fill, message):
    fill(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        list_landing_zone(str(tmp_path))
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["missing", "file.jpg", "nowhere://bucket/images", ""])
def test_a_missing_folder_is_an_error(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.jpg").write_bytes(jpeg(1))
    with pytest.raises(UserError, match="folder") as caught:
        list_landing_zone(source)
    assert source in str(caught.value) and "\n" not in str(caught.value)


def test_images_in_subfolders_count_and_names_are_kept(zone):
    (zone / "readme.txt").write_text("not an image")
    (zone / ".hidden.jpg").write_bytes(b"1")
    landing = list_landing_zone(str(zone))
    assert len(landing.files) == 2
    assert landing.source == f"file:{zone}"


def test_a_folder_and_its_uri_are_one_landing_zone(tmp_path):
    folder = tmp_path / "at home"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(jpeg(1))
    for source in (f"file://{folder}", f"file:{folder}", folder.as_uri(), f"{folder}/"):
        assert list_landing_zone(source) == list_landing_zone(str(folder))


def test_a_hidden_folder_above_the_zone_hides_nothing(tmp_path):
    folder = tmp_path / ".data" / "in"
    folder.mkdir(parents=True)
    (folder / "1.jpg").write_bytes(jpeg(1))
    assert len(list_landing_zone(str(folder)).files) == 1


def _add(zone):
    (zone / "new.jpg").write_bytes(jpeg(3))


def _grow(zone):
    (zone / file_name()).write_bytes(jpeg(1) + b"tail")


def _touch(zone):
    os.utime(zone / file_name(), (1, 1))


def _remove(zone):
    (zone / file_name()).unlink()


def _rename(zone):
    (zone / file_name()).rename(zone / file_name(hour=1))


@pytest.mark.parametrize("change", [_add, _grow, _touch, _remove, _rename])
def test_the_fingerprint_notices(zone, change):
    before = fingerprint(list_landing_zone(str(zone)).files)
    change(zone)
    assert fingerprint(list_landing_zone(str(zone)).files) != before


@pytest.mark.parametrize("name", ["notes.txt", ".hidden.jpg", ".cache/1.jpg", "shoes/.2.jpg"])
def test_the_fingerprint_ignores(zone, name):
    before = list_landing_zone(str(zone))
    (zone / name).parent.mkdir(exist_ok=True)
    (zone / name).write_bytes(b"other")
    assert list_landing_zone(str(zone)) == before
