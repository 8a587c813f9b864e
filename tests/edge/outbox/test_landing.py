import errno
import os
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from odd_names import MATCHED, ON_DISK

from edge.outbox.landing import Landing, LandingError


class Share(MemoryFileSystem):
    """A file system on which an incomplete file is visible, as on a share."""

    protocol, store, pseudo_dirs = "share", {}, [""]
    seen: ClassVar[list[str]] = []

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(path.replace("share://", "memory://"))

    def pipe_file(self, path, value, **options):
        self.seen.append(path)
        super().pipe_file(path, value, **options)


@pytest.fixture(params=["folder", "file", "memory", "share"])
def url(request, tmp_path):
    MemoryFileSystem.store.clear()
    Share.store.clear()
    fsspec.register_implementation("share", Share, clobber=True)
    return {
        "folder": str(tmp_path),
        "file": f"file://{tmp_path}",
        "memory": "memory://zone",
        "share": "share://zone",
    }[request.param]


def content_of(url: str) -> dict[str, bytes]:
    filesystem, root = fsspec.core.url_to_fs(url)
    return {
        path[len(root) :].lstrip("/"): filesystem.cat_file(path) for path in filesystem.find(root)
    }


def test_a_file_arrives_complete_and_once(url):
    landing = Landing(url)
    assert landing.put("a.jpg", b"one") == "a.jpg"
    assert landing.put("a.jpg", b"one") == "a.jpg"
    assert landing.put("results/a7/x.jsonl", b"rows") == "results/a7/x.jsonl"
    assert content_of(url) == {"a.jpg": b"one", "results/a7/x.jsonl": b"rows"}
    assert all(path.rpartition("/")[2].startswith(".") for path in Share.seen)


def test_another_image_of_the_same_name_replaces_none(url):
    landing = Landing(url)
    landing.put("a.jpg", b"one")
    elsewhere = landing.put("a.jpg", b"two")
    assert elsewhere.startswith("again-") and elsewhere.endswith("/a.jpg")
    assert landing.put("a.jpg", b"two") == elsewhere
    assert content_of(url) == {"a.jpg": b"one", elsewhere: b"two"}


def test_no_name_is_taken_as_a_pattern(url):
    names = [*MATCHED, *ON_DISK]  # what a pattern among them would match is there before it
    landing = Landing(url)
    for number, name in enumerate([*names, *names]):
        assert landing.put(name, name.encode(), replace=number % 2 == 0) == name
    assert content_of(url) == {name: name.encode() for name in names}


def test_a_status_replaces_the_last_one(url):
    landing = Landing(url)
    for content in (b"one", b"two"):
        landing.put("status/a7.json", content, replace=True)
    assert content_of(url) == {"status/a7.json": b"two"}


@pytest.fixture
def synced(monkeypatch):
    """The synced paths in order; ``fails`` is the error of syncing a folder."""
    done, fsync = [], os.fsync

    def noted(descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path.is_dir() and noted.fails:
            raise OSError(noted.fails, os.strerror(noted.fails))
        done.append(path)
        fsync(descriptor)

    noted.fails = None
    monkeypatch.setattr(os, "fsync", noted)
    return done, noted


def test_on_a_disk_the_file_and_its_name_are_synced(tmp_path, synced):
    done, _ = synced
    landing = Landing(str(tmp_path))
    landing.put("results/a7/x.jsonl", b"rows")
    folders = [tmp_path / "results/a7", tmp_path / "results", tmp_path]
    assert done == [tmp_path / "results/a7/.x.jsonl.part", *folders]
    done.clear()
    landing.put("results/a7/x.jsonl", b"rows")  # again, as after a power cut before the first ended
    assert done == folders


@pytest.mark.parametrize(
    ("fault", "is_put"),
    [(errno.EINVAL, True), (errno.ENOTSUP, True), (errno.EACCES, True), (errno.EIO, False)],
    ids=errno.errorcode.get,
)
def test_a_share_that_cannot_sync_folders_is_accepted_and_a_failing_disk_is_not(
    tmp_path, synced, fault, is_put
):
    synced[1].fails = fault
    if is_put:
        assert Landing(str(tmp_path)).put("a.jpg", b"one") == "a.jpg"
    else:
        with pytest.raises(OSError, match="Input/output error"):
            Landing(str(tmp_path)).put("a.jpg", b"one")


def test_a_landing_folder_is_never_created(tmp_path):
    with pytest.raises(LandingError, match="create or mount it"):
        Landing(str(tmp_path / "away")).put("a.jpg", b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("has_mount", [False, True])
def test_a_landing_folder_that_this_user_may_not_read_is_not_called_missing(
    tmp_path, monkeypatch, has_mount
):
    """Root may read anything, so the system's answer is replaced."""
    ask = os.stat

    def refuse(path, **options):
        if path == str(tmp_path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return ask(path, **options)

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(LandingError, match=f"this user may not read the landing folder {tmp_path}"):
        Landing(str(tmp_path), mount=str(tmp_path) if has_mount else "").put("a.jpg", b"x")


def test_an_unmounted_folder_is_not_filled(tmp_path):
    with pytest.raises(LandingError, match="is not mounted"):
        Landing(str(tmp_path), mount=str(tmp_path)).put("a.jpg", b"x")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_file_system_is_named():
    with pytest.raises(LandingError, match="nosuch"):
        Landing("nosuch://bucket/x").put("a.jpg", b"x")


@pytest.mark.timeout(20)
def test_what_has_an_images_name_and_is_no_file_stops_nothing(tmp_path):
    (tmp_path / "a.jpg").mkdir()
    os.mkfifo(tmp_path / "b.jpg")
    landing = Landing(str(tmp_path))
    for name in ("a.jpg", "b.jpg"):
        assert landing.put(name, b"").endswith(f"/{name}")
        assert landing.put(name, b"one").startswith("again-")


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        (FileNotFoundError("zone/erased.json"), False),
        (PermissionError("Access Denied"), False),
        (OSError("Forbidden: https://storage.googleapis.com/…"), False),  # as gcsfs says it
        (OSError("Bad Request"), True),
    ],
)
def test_a_device_that_may_only_write_reads_nothing(monkeypatch, answer, passes):
    def refuse(*_):
        raise answer

    monkeypatch.setattr(MemoryFileSystem, "cat_file", refuse)
    landing = Landing("memory://zone")
    if passes:
        with pytest.raises(OSError, match="Bad Request"):
            landing.read("erased.json")
    else:
        assert landing.read("erased.json") is None
