"""Which files of landing zones and archives are deleted, and what is noted until all is done."""

import hashlib
import os
from datetime import UTC, datetime

import pytest

from edge.protocol.erased import Erased
from steps.erasure.landed import erase_files
from steps.erasure.work import Work, _read_pending, clear_pending, note_pending
from steps.ingestion.erased import write_erased
from steps.ingestion.landing import LandedFile
from steps.settings.profile import load_profile

AT = datetime(2026, 7, 13, 12, tzinfo=UTC)


def put(path, content: bytes) -> LandedFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (AT.timestamp(),) * 2)
    return LandedFile(f"file:{path}", len(content), AT)


@pytest.mark.parametrize("dry_run", [True, False])
def test_files_with_the_bytes_or_as_they_landed_are_deleted(tmp_path, dry_run):
    zone, archive = tmp_path / "zone", tmp_path / "archive"
    images = {hashlib.sha256(b"face").hexdigest(): 4}
    same = put(zone / "a.jpg", b"face")
    masked = put(zone / "b.jpg", b"with a mask in the table")
    rewritten = put(zone / "c.jpg", b"before")
    put(zone / "c.jpg", b"another image")
    archived = put(archive / "d" / "e.jpg", b"archived, with a mask")
    archived = archived._replace(path=f"file:{zone}/d/e.jpg")
    put(zone / "copy.jpg", b"face")
    put(zone / "size.jpg", b"tree")
    gone = LandedFile(f"file:{zone}/gone.jpg", 4, AT)
    work = Work(images, frozenset([same, masked, rewritten, archived, gone]))
    assert erase_files(work, {f"file:{zone}"}, {f"file:{archive}"}, dry_run) == 4
    left = {path.name for path in tmp_path.rglob("*.jpg")}
    kept = {"c.jpg", "size.jpg"}
    assert left == (kept | {"a.jpg", "b.jpg", "copy.jpg", "e.jpg"} if dry_run else kept)


def test_what_is_to_be_done_is_noted_until_it_is_done(tmp_path):
    profile = load_profile("local").model_copy(update={"lake": str(tmp_path)})
    work = Work({"5f": 7}, frozenset([LandedFile("file:/a.jpg", 7, AT)]))
    write_erased(profile, Erased())
    assert _read_pending(profile) == Work({}, frozenset())
    note_pending(profile, work)
    assert _read_pending(profile) == work
    clear_pending(profile)
    assert _read_pending(profile) == Work({}, frozenset())
