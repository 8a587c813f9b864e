"""Which rows are marked: bytes that came before, and files that were rewritten since."""

from dataclasses import dataclass

import pandas as pd
import pytest
from drawing import file_name, jpeg
from small_lake import SmallLake, make_small_lake

from steps.ingestion import duplicates as module
from steps.ingestion.duplicates import Duplicates, mark_duplicates
from steps.landing.arrivals import Arrivals

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD, SHOES = file_name(hour=1), file_name(hour=2), file_name(hour=3), "shoes/1.jpg"
TOGETHER = [file_name(device="together", minute=minute) for minute in range(3)]
BACK = file_name(device="back")
TWICE = file_name(device="twice")
CUT, STILL_CUT = file_name(device="cut"), file_name(device="still-cut")
EMPTIED = file_name(device="emptied")

INGESTS: list[list[dict[str, bytes]]] = [
    [
        {FIRST: jpeg(1), BACK: jpeg(3), TWICE: jpeg(5), EMPTIED: jpeg(9)},
        {name: jpeg(2) for name in TOGETHER},
        {CUT: jpeg(7)[:300], STILL_CUT: jpeg(8)[:300]},
    ],
    [
        {SECOND: jpeg(1), THIRD: jpeg(10), SHOES: jpeg(1), BACK: jpeg(4), TWICE: jpeg(6)},
        {TWICE: jpeg(11), CUT: jpeg(7), EMPTIED: b""},
    ],
    [{BACK: jpeg(3)}],
]
"""The files that are put into the landing zone before each ingest, in order."""


@dataclass
class Story:
    """The lake, and after each ingest the number of new files and the tables."""

    small: SmallLake
    new: list[int]
    images: list[pd.DataFrame]
    quarantine: list[pd.DataFrame]

    def of(self, name: str, table: str = "images") -> pd.DataFrame:
        """A file's rows at the end, in the order in which they came."""
        rows = getattr(self, table)[-1]
        return rows[rows["name"] == name].reset_index(drop=True)


@pytest.fixture(scope="module")
def story(lake, tmp_path_factory) -> Story:
    told = Story(make_small_lake(lake, tmp_path_factory.mktemp("copies")), [], [], [])
    for files in INGESTS:
        for part in files:
            told.small.put(part)
        told.new.append(told.small.ingest())
        told.images.append(told.small.table("images"))
        told.quarantine.append(told.small.table("quarantine"))
    return told


def _marks(rows: pd.DataFrame, column: str) -> dict[int, object]:
    return rows[column].dropna().to_dict()


def test_each_ingest_takes_new_files_only(story):
    assert story.new == [9, 7, 1]


def test_equal_bytes_are_marked_with_the_path_that_came_first(story):
    rows = story.images[-1]
    marked = rows.set_index("name").loc[[FIRST, SECOND, THIRD, SHOES], "duplicate_of"].dropna()
    original = f"{story.small.source}/{FIRST}"
    assert marked.to_dict() == {SECOND: original, SHOES: original}


def test_duplicates_in_one_ingest_leave_one_original(story):
    images = story.images[0][story.images[0]["name"].isin(TOGETHER)]
    marked = images.dropna(subset="duplicate_of")
    [original] = set(images["path"]) - set(marked["path"])
    assert marked["duplicate_of"].tolist() == [original, original]


def test_a_file_rewritten_and_rewritten_back_is_three_rows_of_which_the_last_counts(story):
    images = story.of(BACK)
    assert images["sha256"].tolist() == [images["sha256"][place] for place in (0, 1, 0)]
    assert images["sha256"].nunique() == 2
    replaced = _marks(images, "replaced_at")
    assert replaced == {0: images["ingested_at"][1], 1: images["ingested_at"][2]}
    # its own bytes again are no copy of another image
    assert _marks(images, "duplicate_of") == {}


def test_a_file_rewritten_twice_between_two_ingests_is_two_rows(story):
    images = story.of(TWICE)
    assert images["content"].tolist() == [jpeg(5), jpeg(11)]
    assert list(_marks(images, "replaced_at")) == [0]


def test_a_file_that_is_completed_leaves_the_quarantine_as_replaced(story):
    assert set(story.quarantine[0]["name"]) == {CUT, STILL_CUT}
    assert _marks(story.quarantine[0], "replaced_at") == {}
    completed = story.of(CUT)
    assert completed["content"].tolist() == [jpeg(7)]
    replaced = _marks(story.of(CUT, "quarantine"), "replaced_at")
    assert replaced == {0: completed["ingested_at"][0]}
    assert _marks(story.of(STILL_CUT, "quarantine"), "replaced_at") == {}
    assert _marks(completed, "replaced_at") == {}


def test_an_image_that_is_overwritten_with_nothing_is_replaced(story):
    emptied = story.of(EMPTIED, "quarantine")
    assert emptied["reason"].tolist() == ["empty"]
    assert _marks(story.of(EMPTIED), "replaced_at") == {0: emptied["ingested_at"][0]}


def test_only_rewritten_files_are_replaced(story):
    for rows in (story.images[-1], story.quarantine[-1]):
        assert set(rows.dropna(subset="replaced_at")["name"]) <= {BACK, TWICE, CUT, EMPTIED}


def test_marking_again_writes_no_version(story):
    before = story.small.versions()
    mark_duplicates(story.small.spark, story.small.profile)
    assert story.small.versions() == before


@pytest.fixture
def other(lake, tmp_path) -> SmallLake:
    """A lake with one image."""
    other = make_small_lake(lake, tmp_path)
    other.put({FIRST: jpeg(1)})
    other.ingest()
    return other


class CutOffError(Exception):
    pass


def _interrupted(*_):
    raise CutOffError


def _duplicates(small: SmallLake) -> list[str]:
    return small.table("images").dropna(subset="duplicate_of")["name"].tolist()


def test_all_rows_are_compared_only_if_there_may_be_duplicates(other, monkeypatch):
    looks = []
    monkeypatch.setattr(module, "mark_duplicates", lambda *_: looks.append(1))
    other.put({SECOND: jpeg(2), CUT: jpeg(3)[:300], "empty.jpg": b""})
    assert other.ingest() == 3 and not looks
    for number, copy in enumerate([{THIRD: jpeg(1)}, {SECOND: jpeg(4)}, {CUT: jpeg(5)}], start=1):
        other.put(copy)
        assert other.ingest() == 1 and len(looks) == number
    other.put({SHOES: jpeg(6), "shoes/2.jpg": jpeg(6)})
    assert other.ingest() == 2 and len(looks) == 4


def test_the_next_call_marks_what_an_interrupted_one_left(other, monkeypatch):
    other.put({SECOND: jpeg(1)})
    with monkeypatch.context() as patched:
        patched.setattr(module, "mark_duplicates", _interrupted)
        with pytest.raises(CutOffError):
            other.ingest()
    assert _duplicates(other) == []
    assert other.ingest() == 0
    assert _duplicates(other) == [SECOND]


def test_the_next_call_marks_after_an_interrupted_retry_without_new_files(other):
    other.put({SECOND: jpeg(2)})
    other.ingest()
    home = Arrivals(other.profile, other.source).home
    with (
        pytest.raises(CutOffError),
        Duplicates(lambda: other.spark, other.profile, home, rewritten=True),
    ):
        raise CutOffError
    looks = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "mark_duplicates", lambda *_: looks.append(1))
        assert other.ingest() == 0 and looks == [1]
        assert other.ingest() == 0 and looks == [1]
