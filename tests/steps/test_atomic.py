"""A file is written complete or stays as it was."""

import os
from pathlib import Path

import fsspec
import pytest

from steps.atomic import create_atomically, write_atomically


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    file = tmp_path / "a b%.json"
    for content in (b"first", b"second, which is longer", b""):
        write_atomically(str(file), content)
        assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    file = tmp_path / "a.json"
    file.write_bytes(b"before")

    def disk_is_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_is_full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(str(file), b"after")
    assert file.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [file]


def test_file_and_folder_are_synced_in_this_order(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(
        "os.fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    )
    write_atomically(f"file://{tmp_path}/a.json", b"{}")
    part, folder = synced
    assert os.path.dirname(part) == folder == str(tmp_path)
    assert os.path.basename(part).startswith(".a.json.")


def test_a_leftover_of_an_earlier_process_with_this_number_is_no_obstacle(tmp_path):
    (tmp_path / f".key.{os.getpid()}.part").write_bytes(b"half")
    write_atomically(str(tmp_path / "key"), b"secret", mode=0o600)
    assert [file.name for file in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_store_elsewhere_gets_one_put():
    write_atomically("memory://bucket/a.json", b"{}")
    assert fsspec.filesystem("memory").cat_file("/bucket/a.json") == b"{}"


@pytest.mark.parametrize("has_links", [True, False])
def test_of_two_that_create_a_file_one_does(tmp_path, monkeypatch, has_links):
    def no_links(self, target):
        raise PermissionError(1, "Operation not permitted")

    if not has_links:
        monkeypatch.setattr(Path, "hardlink_to", no_links)
    file = tmp_path / "a.json"
    assert create_atomically(str(file), b"first")
    assert not create_atomically(str(file), b"second")
    assert file.read_bytes() == b"first" and list(tmp_path.iterdir()) == [file]


def test_a_file_is_created_in_a_store(tmp_path):
    place = f"memory://{tmp_path}/a.json"
    assert create_atomically(place, b"first")
    assert fsspec.filesystem("memory").cat_file(place) == b"first"
