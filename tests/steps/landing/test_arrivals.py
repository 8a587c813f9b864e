"""The log of arrivals: what is recorded, in which chunks, and which files are new."""

import json
import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from drawing import jpeg
from fsspec.implementations.local import LocalFileSystem

from steps.atomic import create_atomically
from steps.errors import UserError
from steps.landing.arrivals import Arrivals, Limits
from steps.landing.listing import LandedFile, list_landing_zone
from steps.settings.profile import load_profile

SOURCE = "file:/landing zone"
NOON = datetime(2026, 7, 13, 12, 30, 5, 123456, tzinfo=UTC)
PLENTY = Limits(files=1000, bytes=10**9)


@pytest.fixture
def profile(tmp_path):
    return load_profile("local").model_copy(update={"lake": str(tmp_path / "lake")})


@pytest.fixture
def arrivals(profile) -> Arrivals:
    return Arrivals(profile, SOURCE)


def _files(*sizes: int) -> list[LandedFile]:
    return [
        LandedFile(f"{SOURCE}/{number}.jpg", size, NOON + timedelta(seconds=number))
        for number, size in enumerate(sizes)
    ]


def _chunks(arrivals: Arrivals) -> list[list[str]]:
    """The names in each chunk."""
    visible = [path for path in Path(arrivals.chunks).iterdir() if path.name[0] not in "._"]
    return [
        [Path(json.loads(line)["path"]).stem for line in path.read_text("utf-8").splitlines()]
        for path in sorted(visible)
    ]


@pytest.mark.parametrize(
    ("sizes", "limits", "chunks"),
    [
        ([1, 1, 1, 1, 1], Limits(2, 100), ["01", "23", "4"]),
        ([1, 1, 1, 1], Limits(4, 100), ["0123"]),
        ([4, 4, 4], Limits(9, 8), ["01", "2"]),
        ([4, 5, 4], Limits(9, 8), ["0", "1", "2"]),
        ([99, 1, 99, 99], Limits(9, 8), ["0", "1", "2", "3"]),
        ([0, 0, 0, 9], Limits(2, 8), ["01", "2", "3"]),
        ([], Limits(2, 8), []),
    ],
)
def test_chunks_are_bounded_and_hold_one_file_at_least(arrivals, sizes, limits, chunks):
    assert arrivals.record(_files(*sizes), limits) == len(chunks)
    assert _chunks(arrivals) == [list(chunk) for chunk in chunks]


def test_chunks_of_later_calls_come_after_earlier_ones(arrivals):
    files = _files(*[1] * 7)
    for start in range(0, 7, 2):
        arrivals.record(files[start : start + 2], Limits(1, 100))
    assert _chunks(arrivals) == [[str(number)] for number in range(7)]


def test_recorded_files_are_not_new(arrivals, profile):
    files = _files(1, 2, 0)
    assert not arrivals.exists()
    assert arrivals.select_new(files) == files
    arrivals.record(files[:2], PLENTY)
    assert arrivals.exists()
    for ledger in (arrivals, Arrivals(profile, SOURCE)):
        assert ledger.select_new(files) == files[2:]


def test_repeated_polls_read_each_chunk_once(arrivals, profile, monkeypatch):
    read, cat_file = [], LocalFileSystem.cat_file

    def count_read(self, path, **options):
        read.extend([path] if path.endswith(".json") else [])
        return cat_file(self, path, **options)

    monkeypatch.setattr(LocalFileSystem, "cat_file", count_read)
    files = _files(1, 1, 1)
    for number in range(3):
        arrivals.record([files[number]], PLENTY)
        for _ in range(2):
            assert set(Arrivals(profile, SOURCE).recorded()) == set(map(tuple, files[: number + 1]))
    assert len(read) == len(set(read)) == 3


def test_a_landing_zone_has_a_log_of_its_own(arrivals, profile):
    arrivals.record(_files(1), PLENTY)
    other = Arrivals(profile, f"{SOURCE}/deeper")
    assert not other.exists() and other.select_new(_files(1)) == _files(1)


@pytest.mark.parametrize(
    "change",
    [
        {"bytes": 2},
        {"modified_at": NOON + timedelta(microseconds=1)},
        {"modified_at": NOON - timedelta(days=1)},
        {"path": f"{SOURCE}/0.JPG"},
    ],
)
def test_a_file_of_another_size_time_or_path_is_new(arrivals, change):
    [file] = _files(1)
    arrivals.record([file], PLENTY)
    rewritten = file._replace(**change)
    assert arrivals.select_new([file, rewritten]) == [rewritten]
    arrivals.record([rewritten], PLENTY)
    assert arrivals.select_new([file, rewritten]) == []


def test_noted_files_are_not_new_and_need_no_work(arrivals):
    files = _files(1, 2, 3)
    arrivals.record(files[:1], PLENTY)
    arrivals.note([files[1], files[2]._replace(bytes=4)])
    assert arrivals.select_new(files) == files[2:]


def test_a_chunk_that_is_half_written_is_not_read(arrivals):
    files = _files(1, 2)
    arrivals.record(files[:1], PLENTY)
    hidden = Path(arrivals.chunks) / "_00000001-cut.json"
    hidden.write_text('{"path": "file:/landing zone/1.jpg", "byt')
    assert arrivals.select_new(files) == files[1:]
    arrivals.record(files[1:], PLENTY)
    assert _chunks(arrivals) == [["0"], ["1"]]


def test_the_rest_is_new_if_a_call_is_interrupted_between_two_chunks(
    arrivals, profile, monkeypatch
):
    files = _files(1, 2, 3, 4, 5)
    written = []

    def interrupted(place, content):
        if len(written) == 3:  # the log's ID is the first
            raise KeyboardInterrupt
        written.append(place)
        return create_atomically(place, content)

    with monkeypatch.context() as patched:
        patched.setattr("steps.landing.arrivals.create_atomically", interrupted)
        with pytest.raises(KeyboardInterrupt):
            arrivals.record(files, Limits(1, 100))
    again = Arrivals(profile, SOURCE)
    assert again.select_new(files) == files[2:]
    again.record(again.select_new(files), Limits(2, 100))
    assert _chunks(again) == [["0"], ["1"], ["2", "3"], ["4"]]
    assert again.select_new(files) == []


def test_of_two_runs_that_read_the_same_log_one_records(arrivals, profile):
    files, other = _files(1, 2), Arrivals(profile, SOURCE)
    assert arrivals.select_new(files) == other.select_new(files) == files
    arrivals.record(files, Limits(1, 100))
    with pytest.raises(UserError, match="nothing is lost"):
        other.record(files[:1], PLENTY)
    other.mark_done()  # of what it knew: nothing
    assert _chunks(arrivals) == [["0"], ["1"]] and arrivals.has_pending()
    again = Arrivals(profile, SOURCE)
    assert again.select_new(files) == []


@pytest.mark.parametrize("name", [b"a\nb", "\u2028ü🦊".encode(), b'"\\', b"a%20b"])
def test_every_name_that_a_file_can_have_is_recorded_once(arrivals, tmp_path, name):
    zone = tmp_path / "zone"
    zone.mkdir()
    (zone / (name + b".jpg").decode(errors="surrogateescape")).write_bytes(jpeg(1))
    files = list_landing_zone(str(zone)).files
    arrivals.record(arrivals.select_new(files), PLENTY)
    assert len(files) == 1 and arrivals.select_new(files) == []


def test_chunks_are_pending_until_they_are_done(arrivals, profile):
    assert not arrivals.has_pending()
    arrivals.record(_files(1, 1), Limits(1, 100))
    assert arrivals.has_pending()
    arrivals.mark_done()
    assert not arrivals.has_pending() and not Arrivals(profile, SOURCE).has_pending()
    arrivals.record(_files(1, 1, 1)[2:], PLENTY)
    assert Arrivals(profile, SOURCE).has_pending()


def test_an_interrupted_mark_leaves_what_was_marked(arrivals):
    """As a full disk interrupts it: files of chunks that are done may be erased since."""
    arrivals.record(_files(1), PLENTY)
    arrivals.mark_done()
    arrivals.record(_files(1, 1)[1:], PLENTY)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            arrivals.mark_done()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    pending = []
    arrivals.process_pending(pending.append)
    assert [chunk.files for chunk in pending] == [_files(1, 1)[1:]]


def test_a_damaged_marker_leaves_chunks_pending(arrivals):
    arrivals.record(_files(1), PLENTY)
    Path(arrivals.home, "done").write_bytes(b"")
    assert arrivals.has_pending()


def test_after_an_interruption_the_chunks_before_it_are_not_processed_again(arrivals, profile):
    arrivals.record(_files(1, 1, 1, 1), Limits(1, 100))
    processed = []

    def process(chunk):
        processed.append(Path(chunk.files[0].path).stem)
        if processed == ["0", "1", "2"]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        arrivals.process_pending(process)
    again = Arrivals(profile, SOURCE)
    again.process_pending(process)
    assert processed == ["0", "1", "2", "2", "3"]
    assert again.has_pending()  # until its caller has done what comes after all chunks
