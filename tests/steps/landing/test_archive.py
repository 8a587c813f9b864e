"""Ingested files leave the landing zone with their folders, unless they changed."""

import os

import pytest
from drawing import jpeg

from steps.errors import UserError
from steps.landing.archive import archive
from steps.landing.listing import list_landing_zone
from steps.landing.place import normalize

FILES = {"1.jpg": jpeg(1), "old shoes/a b%20.PNG": jpeg(2), "2026/07/13/3.jpg": jpeg(3)}


@pytest.fixture
def zone(tmp_path):
    folder = tmp_path / "landing zone"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "ingested"


def _found(folder) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _archive(zone, target, files=None) -> int:
    files = list_landing_zone(str(zone)).files if files is None else files
    return archive(files, normalize(str(zone)), normalize(str(target)))


def test_files_are_moved_and_their_folders_are_kept(zone, kept):
    times = {name: (zone / name).stat().st_mtime_ns for name in FILES}
    (zone / "notes.txt").write_text("no image")
    assert _archive(zone, kept) == len(FILES)
    assert _found(kept) == FILES
    assert {name: (kept / name).stat().st_mtime_ns for name in FILES} == times
    assert _found(zone) == {"notes.txt": b"no image"}


def test_only_listed_files_move(zone, kept):
    files = list_landing_zone(str(zone)).files
    (zone / "new.jpg").write_bytes(jpeg(4))
    assert _archive(zone, kept, files) == len(FILES)
    assert _found(zone) == {"new.jpg": jpeg(4)}


def test_a_second_call_finds_nothing_more_to_move(zone, kept):
    files = list_landing_zone(str(zone)).files
    (zone / "1.jpg").unlink()
    assert _archive(zone, kept, files) == len(FILES) - 1
    assert _archive(zone, kept, files) == 0
    assert "1.jpg" not in _found(kept)


def _rewrite(path):
    path.write_bytes(jpeg(9) + b"longer")


def _touch(path):
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime + 0.01))


@pytest.mark.parametrize("change", [_rewrite, _touch])
def test_a_file_that_changed_since_it_was_listed_stays(zone, kept, change):
    files = list_landing_zone(str(zone)).files
    change(zone / "1.jpg")
    content = (zone / "1.jpg").read_bytes()
    assert _archive(zone, kept, files) == len(FILES) - 1
    assert _found(zone) == {"1.jpg": content}
    assert "1.jpg" not in _found(kept)


@pytest.mark.parametrize("below", ["", "archive", "archive/deeper", "../landing zone/archive"])
def test_an_archive_inside_the_landing_zone_is_refused(zone, below):
    with pytest.raises(UserError, match="cannot archive .* pass -P archive=") as caught:
        _archive(zone, zone / below)
    assert "\n" not in str(caught.value)
    assert _found(zone) == FILES


def test_an_archive_on_another_file_system_is_refused(zone):
    with pytest.raises(UserError, match="cannot archive"):
        _archive(zone, "memory://archive")
    assert _found(zone) == FILES


def test_a_folder_whose_name_only_begins_the_same_is_outside(zone):
    beside = zone.with_name(f"{zone.name} archive")
    assert _archive(zone, beside) == len(FILES)
    assert _found(beside) == FILES


def test_a_second_file_of_a_name_gets_a_number(zone, kept):
    _archive(zone, kept)
    (zone / "1.jpg").write_bytes(jpeg(9))
    assert _archive(zone, kept) == 1
    assert _found(kept) == {**FILES, "1~2.jpg": jpeg(9)}
