"""The landing zone: which files count, what changes its fingerprint, and its errors."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from drawing import file_name, jpeg
from fsspec.implementations.memory import MemoryFileSystem
from odd_names import MATCHED, ON_DISK

from edge.inference.image import SUFFIXES
from steps.errors import UserError
from steps.landing.archive import archive
from steps.landing.listing import fingerprint, list_landing_zone
from steps.landing.place import open_place, read


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


@contextmanager
def _plain_user() -> Iterator[None]:
    """Let the kernel check permissions, which it does not for root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def _forbid(zone):
    (zone / "lost+found").mkdir()
    (zone / "lost+found" / "1.jpg").write_bytes(jpeg(9))
    (zone / "lost+found").chmod(0)


def _forbid_entering(zone):
    (zone / "shut").mkdir()
    (zone / "shut" / "1.jpg").write_bytes(jpeg(9))
    (zone / "shut").chmod(0o444)  # its names can be read, and nothing else


def _add_folder_of_bytes(zone):
    folder = zone / os.fsdecode(b"\xff\xfe")
    folder.mkdir()
    (folder / "1.jpg").write_bytes(jpeg(9))


LOOP = "a link led to a folder that is listed already"
FAULTS = {
    "a folder that may not be listed": (_forbid, "lost+found", "Permission denied"),
    "a folder that may not be entered": (_forbid_entering, "shut/1.jpg", "Permission denied"),
    "a link to its parent": (
        lambda zone: (zone / "shoes" / "up").symlink_to(zone / "shoes"), "shoes/up", LOOP,
    ),
    "a link to the landing zone": (
        lambda zone: (zone / "shoes" / "up").symlink_to(".."), "shoes/up", LOOP,
    ),
    "a link above the landing zone": (
        lambda zone: (zone / "up").symlink_to(zone.parent), "up/landing", LOOP,
    ),
    "a link to itself": (
        lambda zone: (zone / "me.jpg").symlink_to("me.jpg"), "me.jpg", "a link to no file",
    ),
    "a link to nothing": (
        lambda zone: (zone / "gone.jpg").symlink_to(zone / "nothing"), "gone.jpg",
        "a link to no file",
    ),
    "a pipe": (lambda zone: os.mkfifo(zone / "pipe.jpg"), "pipe.jpg", "it is not a file"),
    "a file whose name is not UTF-8": (
        lambda zone: (zone / os.fsdecode(b"caf\xe9.jpg")).write_bytes(jpeg(9)),
        "caf\\xe9.jpg", "its name is not UTF-8; rename it",
    ),
    "a folder whose name is not UTF-8": (
        _add_folder_of_bytes, "\\xff\\xfe/1.jpg",
        "its name is not UTF-8; rename it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_read_is_named_and_the_rest_is_listed(tmp_path, fault, zone):
    cause, name, reason = FAULTS[fault]
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    expected = list_landing_zone(str(zone)).files
    cause(zone)
    with _plain_user():
        landing = list_landing_zone(str(zone))
    assert landing.files == expected
    assert landing.left_out.unread == {f"{zone}/{name}": reason}
    assert landing.left_out.sentences() == [f"{zone}/{name} is not read: {reason}"]


def test_a_file_that_vanishes_while_the_zone_is_listed_is_named(zone, monkeypatch):
    expected = list_landing_zone(str(zone)).files
    (zone / "brief.jpg").write_bytes(jpeg(3))
    walk = os.walk

    def delete_then_walk(*arguments, **options):
        for found in walk(*arguments, **options):
            (zone / "brief.jpg").unlink(missing_ok=True)  # the folder was read, and no status yet
            yield found

    monkeypatch.setattr(os, "walk", delete_then_walk)
    landing = list_landing_zone(str(zone))
    assert landing.files == expected
    assert landing.left_out.unread == {f"{zone}/brief.jpg": "No such file or directory"}


def test_a_zone_of_which_nothing_can_be_read_is_an_error_with_the_reason(tmp_path):
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    (tmp_path / "in").mkdir(mode=0)
    with _plain_user(), pytest.raises(UserError, match="in is not read: Permission denied"):
        list_landing_zone(str(tmp_path / "in"))


def test_links_to_folders_elsewhere_are_followed_once(zone, tmp_path):
    outside = tmp_path / "outside"
    (outside / "deeper").mkdir(parents=True)
    (outside / "deeper" / "3.jpg").write_bytes(jpeg(3))
    (outside / "back").symlink_to(outside)
    (zone / "a").symlink_to(outside)
    (zone / "b").symlink_to(outside / "deeper")
    landing = list_landing_zone(str(zone))
    below = [file.path.removeprefix(landing.source) for file in landing.files]
    assert "/a/deeper/3.jpg" in below and len(below) == 3
    assert landing.left_out.unread.keys() == {f"{zone}/a/back", f"{zone}/b"}


LEFT_OUT = {
    "a/@eaDir/x.jpg/SYNOPHOTO_THUMB_M.jpg": "in @eaDir",
    "a/@EADIR/SYNOPHOTO_THUMB_B.jpg": "in @EADIR",
    "a/.thumbnails/1.jpg": "in .thumbnails",
    ".trash/1.jpg": "in .trash",
    ".Trash-1000/files/1.jpg": "in .Trash-1000",
    "__MACOSX/a/._x.jpg": "in __MACOSX",
    ".ipynb_checkpoints/x-checkpoint.png": "in .ipynb_checkpoints",
    "#recycle/1.jpg": "in #recycle",
    "$RECYCLE.BIN/1.jpg": "in $RECYCLE.BIN",
    "a/._x.jpg": "hidden",
    ".x.jpg": "hidden",
    "a/1.HEIC": ".heic",
    "2.heic": ".heic",
    "3.mov": ".mov",
    "results/4.mov": ".mov",
    "status/a.txt": ".txt",
    "a/notes.txt": ".txt",
    "a/frame": "without a suffix",
    "a/x.jpg.part": ".part",
    "a/new\nline.a\tb": ".a\\tb",
}
STORES = ["folder", "memory"]


def _put(store: str, home: Path, files: dict[str, bytes]) -> str:
    """Write files into a new landing zone and return its place."""
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    place = f"file:{home}/zone" if store == "folder" else "memory://bucket/zone"
    filesystem, root = open_place(place)
    for name, content in files.items():
        filesystem.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
        filesystem.pipe_file(f"{root}/{name}", content)
    return place


@pytest.mark.parametrize("store", STORES)
def test_what_is_left_out_is_counted_and_makes_no_class(tmp_path, store):
    images = {"a/x.jpg": jpeg(1), "b/y.JFIF": jpeg(2), "b/z.Tif": b"3"}
    protocol = {"results/a7/x.jsonl": b"", "status/a7.json": b""}
    place = _put(store, tmp_path, images | protocol | dict.fromkeys(LEFT_OUT, b"1"))
    landing = list_landing_zone(place)
    assert {file.path.removeprefix(f"{place}/") for file in landing.files} == images.keys()
    counts = Counter(LEFT_OUT.values())
    assert landing.left_out.suffixes + landing.left_out.hidden == counts
    assert landing.left_out.unread == {}
    [sentence] = landing.left_out.sentences()
    assert sentence.startswith("left out: ") and "\n" not in sentence
    assert "2 .heic" in sentence and "heif-convert" in sentence and "ffmpeg" in sentence
    assert sum(count for _, count in landing.left_out.kinds()) == len(LEFT_OUT)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".JPG", ".Jpe", ".JFIF", ".TIFF", ".WebP"])
def test_every_suffix_of_the_formats_counts_in_any_case(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"1")
    (tmp_path / f"b{suffix}x").write_bytes(b"1")
    assert len(list_landing_zone(str(tmp_path)).files) == 1


def test_a_zone_of_other_files_says_what_to_do_with_them(tmp_path):
    (tmp_path / "a.HEIC").write_bytes(b"1")
    with pytest.raises(UserError, match="none of the 1 files .*heif-convert"):
        list_landing_zone(str(tmp_path))


@pytest.mark.parametrize("store", STORES)
def test_no_name_is_taken_as_a_pattern(tmp_path, store):
    """What patterns among the names would match too stays where it is, also in the archive."""
    odd, matched = ({name: name.encode() for name in names} for names in (ON_DISK, MATCHED))
    place = _put(store, tmp_path, odd | matched)
    landing = list_landing_zone(place)
    below = {file.path.removeprefix(f"{place}/"): file for file in landing.files}
    assert {name: read(file.path) for name, file in below.items()} == odd | matched
    assert [file.bytes for file in landing.files] == [len(read(f.path)) for f in landing.files]
    archived = place.replace("/zone", "/archive")
    assert archive([below[name] for name in odd], place, archived) == len(odd)
    for home, expected in ((place, matched), (archived, odd)):
        found = list_landing_zone(home).files
        assert {f.path.removeprefix(f"{home}/"): read(f.path) for f in found} == expected


@pytest.mark.parametrize("seconds", [-1e10, -1, 0, 1_780_000_000.25, 3e9, 1e11, 1e13])
def test_any_time_of_a_file_is_one_that_the_tables_hold(tmp_path, seconds):
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    try:
        os.utime(tmp_path / "a.jpg", (seconds, seconds))
    except OSError as error:
        pytest.skip(f"this file system does not hold it: {error}")
    [file] = list_landing_zone(str(tmp_path)).files
    assert 1970 <= file.modified_at.year < 2200
    if seconds == 1_780_000_000.25:
        assert file.modified_at.timestamp() == seconds
