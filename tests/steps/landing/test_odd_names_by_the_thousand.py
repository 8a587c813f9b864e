"""Any names, on a disk and on a store: listed, recorded, read and archived as what they are.

`CASES=10000 make prove ARGS="-k odd_names"` tries more than a few hundred.
"""

import itertools
import os
import shutil
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as some

from steps.ingestion.file_name import parse_file_name
from steps.landing.archive import archive
from steps.landing.arrivals import Arrivals, Limits
from steps.landing.listing import list_landing_zone
from steps.landing.place import open_place, read
from steps.landing.walk import hidden_in
from steps.settings.profile import load_profile

pytestmark = pytest.mark.proof

CASES = int(os.environ.get("CASES", "200"))
TOKENS = [
    *("*", "**", "?", "[a]", "[!a]", "{a,b}", "::", "file:", "s3:", "%20", "%", "#", "~", "..", ""),
    *(" ", "\n", "\t", "-", "--", "$HOME", "&", "=", ";", ",", "\\", "'", '"', "a", "é", "\x7f"),
    *("@eaDir", "__MACOSX", ".jpg", "2026-07-13T12:30:05_rpi_sensor_3_porch_1", "_", "\u202e", "."),
]
letters = some.characters(exclude_characters="/\0", codec="utf-8")
parts = some.one_of(
    some.lists(some.sampled_from(TOKENS), min_size=1, max_size=4).map("".join),
    some.text(letters, min_size=1, max_size=12),
).filter(lambda part: part not in ("", ".", ".."))
files = some.tuples(parts, some.sampled_from([".jpg", ".JPEG", ".jfif", ".tif", ".heic", ""]))
paths = some.tuples(some.lists(parts, max_size=2), files.map("".join)).map(
    lambda path: "/".join([*path[0], path[1]])
)
UTF8 = some.sets(paths, min_size=1, max_size=6)
bytes_ = some.binary(min_size=1, max_size=8).filter(lambda name: not {*name} & {0, *b"/"})
NUMBERS = itertools.count()
PATTERN = load_profile("local").file_name


def _put(place: str, names: set[str]) -> None:
    filesystem, root = open_place(place)
    filesystem.makedirs(root, exist_ok=True)
    try:
        for name in names:
            filesystem.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
            filesystem.pipe_file(f"{root}/{name}", name.encode())
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        assume(False)  # one name is the folder of another


def _is_listed(name: str) -> bool:
    suffixes = (".jpg", ".jpeg", ".jpe", ".jfif", ".tif")
    return name.lower().endswith(suffixes) and not hidden_in(name.split("/"))


def _found(place: str) -> dict[str, bytes]:
    files = list_landing_zone(place, may_be_empty=True).files
    return {file.path.removeprefix(f"{place}/"): read(file.path) for file in files}


@pytest.mark.parametrize("store", ["folder", "memory"])
@given(names=UTF8)
@settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[*HealthCheck],
)
def test_each_file_is_what_its_name_says(tmp_path_factory, store, names):
    home = tmp_path_factory.getbasetemp() / f"{store} {next(NUMBERS)}"
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    place = f"file:{home}/zone" if store == "folder" else "memory://bucket/zone"
    try:
        _put(place, names)
        listed = list_landing_zone(place, may_be_empty=True)
        expected = {name: name.encode() for name in names if _is_listed(name)}
        assert _found(place) == expected
        others = listed.left_out.suffixes.total() + listed.left_out.hidden.total()
        assert others == len(names) - len(expected) and not listed.left_out.unread
        assert all(sentence.isprintable() for sentence in listed.left_out.sentences())
        for file in listed.files:
            label = parse_file_name(file.path, place, PATTERN).label
            assert label is None or "/" not in label
        log = Arrivals(load_profile("local").model_copy(update={"lake": "memory://lake"}), place)
        log.record(listed.files, Limits(2, 100))
        assert sorted(log.recorded()) == listed.files and log.select_new(listed.files) == []
        moved = listed.files[::2]
        archived = place.replace("/zone", "/archive")
        assert archive(moved, place, archived) == len(moved)
        names_moved = {file.path.removeprefix(f"{place}/") for file in moved}
        if moved:
            assert _found(archived).keys() == names_moved
        assert _found(place).keys() == expected.keys() - names_moved
    finally:
        shutil.rmtree(home, ignore_errors=True)


@given(names=some.sets(bytes_, min_size=1, max_size=4))
@settings(max_examples=CASES, deadline=None, derandomize=True, database=None)
def test_a_name_of_any_bytes_is_listed_or_named(tmp_path_factory, names):
    home = tmp_path_factory.getbasetemp() / f"bytes {next(NUMBERS)}"
    home.mkdir()
    try:
        for name in names:
            Path(os.fsdecode(bytes(home) + b"/" + name + b".jpg")).write_bytes(name)
        landing = list_landing_zone(str(home), may_be_empty=True)
        left_out = landing.left_out
        assert len(landing.files) + len(left_out.unread) + left_out.hidden.total() == len(names)
        assert {read(file.path) + b".jpg" for file in landing.files} == {
            file.path.removeprefix(f"file:{home}/").encode() for file in landing.files
        }
        assert all(sentence.isprintable() for sentence in left_out.sentences())
    finally:
        shutil.rmtree(home)
