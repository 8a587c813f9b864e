"""Which files of landing zones and archives are deleted, and what is noted until all is done."""

import hashlib
import os
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from drawing import file_name, jpeg

from edge.inference.region import Region
from edge.protocol.erased import Erased
from edge.protocol.privacy import blacken_file
from steps.erasure.landed import Places, erase_files, find_places
from steps.erasure.work import Work, _read_pending, clear_pending, note_pending
from steps.ingestion.erased import write_erased
from steps.landing.listing import LandedFile
from steps.settings.profile import load_profile

PROFILE = load_profile("local")
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
    looped = LandedFile(f"file:{zone}/loop", 4, AT)
    (zone / "loop").symlink_to("loop")
    work = Work(images, frozenset([looped, same, masked, rewritten, archived, gone]))
    places = Places({f"file:{zone}"}, {f"file:{archive}"}, set())
    assert erase_files(PROFILE, work, places, dry_run) == (4, [f"{zone}/loop"])
    left = {path.name for path in tmp_path.rglob("*.jpg")}
    kept = {"c.jpg", "size.jpg"}
    assert left == (kept | {"a.jpg", "b.jpg", "copy.jpg", "e.jpg"} if dry_run else kept)


def test_originals_of_blackened_images_are_known_again_at_any_place(tmp_path):
    """They were moved, copied, touched, or landed twice; a mask is also tried on other files."""
    zone, archive, original = tmp_path / "zone", tmp_path / "archive", jpeg(1)
    mask = [Region(0, 0, 0.5, 1)]
    profile = PROFILE.model_copy(update={"privacy_masks": {"7": mask}})
    stored = hashlib.sha256(blacken_file(original, mask)).hexdigest()
    landed = LandedFile(f"file:{zone}/{file_name(device='7')}", len(original), AT)
    twice = [landed._replace(path=f"file:{zone}/twice.jpg", bytes=size) for size in (5, 6)]
    put(zone / "twice.jpg", b"first")
    for path in (zone / file_name(device="7"), archive / "a~2.jpg", zone / "copy.jpg"):
        put(path, original)
        os.utime(path)
    put(zone / "other.jpg", b"x" * len(original))  # and no image
    work = Work({stored: len(original)}, frozenset([landed, *twice]))
    places = Places({f"file:{zone}"}, {f"file:{archive}"}, set())
    assert erase_files(profile, work, places, dry_run=False) == (4, [])
    assert [path.name for path in tmp_path.rglob("*.jpg")] == ["other.jpg"]


def test_a_landing_zone_is_away_if_it_or_its_archive_is(tmp_path):
    runs = []
    for number, archive in ((1, ""), (2, "archive"), (3, ""), (3, "there")):
        (tmp_path / "2").mkdir(exist_ok=True)
        given = {"source": f"{tmp_path}/{number}", "archive": archive and f"{tmp_path}/{archive}"}
        (tmp_path / "there").mkdir(exist_ok=True)
        data = SimpleNamespace(tags={"step": "ingest"}, params=given)
        runs.append(SimpleNamespace(data=data))
    places = find_places(runs)
    of = {name: f"file:{tmp_path}/{name}" for name in ("1", "2", "3", "there")}
    assert places == ({of["2"]}, {of["there"]}, {of["1"], of["2"], of["3"]})
    assert places.are_away([LandedFile(f"{of['1']}/a.jpg", 1, AT)])
    assert not places.are_away([LandedFile(f"{of['1']}0/a.jpg", 1, AT)])


def test_what_is_to_be_done_is_noted_until_it_is_done(tmp_path):
    profile = PROFILE.model_copy(update={"lake": str(tmp_path)})
    work = Work({"5f": 7}, frozenset([LandedFile("file:/a.jpg", 7, AT)]))
    write_erased(profile, Erased())
    assert _read_pending(profile) == Work({}, frozenset())
    note_pending(profile, work)
    assert _read_pending(profile) == work
    clear_pending(profile)
    assert _read_pending(profile) == Work({}, frozenset())
