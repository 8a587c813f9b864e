import os

import pytest

from edge.files.atomic import write_atomically


def test_a_file_and_then_its_folder_are_synced(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def note(descriptor):
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr("edge.files.atomic.os.fsync", note)
    write_atomically(tmp_path / "a", b"1")
    write_atomically(tmp_path / "a", b"2")
    assert synced == [f"{tmp_path}/.a.part", f"{tmp_path}"] * 2
    assert (tmp_path / "a").read_bytes() == b"2" and os.listdir(tmp_path) == ["a"]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    write_atomically(tmp_path / "a", b"1")

    def fail(descriptor):
        raise OSError("the disk is full")

    monkeypatch.setattr("edge.files.atomic.os.fsync", fail)
    with pytest.raises(OSError, match="the disk is full"):
        write_atomically(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"1" and os.listdir(tmp_path) == ["a"]
