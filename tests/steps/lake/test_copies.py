"""Which rows are marked: bytes that came before, and files that were rewritten since."""

import pandas as pd
import pytest
from drawing import file_name, jpeg
from small_lake import make_small_lake

from steps.lake.copies import mark_copies

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD = (file_name(hour=hour) for hour in (1, 2, 3))


@pytest.fixture
def small(lake, tmp_path):
    return make_small_lake(lake, tmp_path)


def _marks(rows: pd.DataFrame, column: str) -> dict[int, object]:
    return rows[column].dropna().to_dict()


def test_equal_bytes_are_marked_with_the_path_that_came_first(small):
    small.put({FIRST: jpeg(1)})
    small.ingest()
    small.put({SECOND: jpeg(1), THIRD: jpeg(2), "shoes/1.jpg": jpeg(1)})
    small.ingest()
    marked = small.table("images").set_index("name")["duplicate_of"].dropna()
    original = f"{small.source}/{FIRST}"
    assert marked.to_dict() == {SECOND: original, "shoes/1.jpg": original}


def test_copies_in_one_ingest_leave_one_original(small):
    small.put({name: jpeg(1) for name in (FIRST, SECOND, THIRD)})
    small.ingest()
    images = small.table("images")
    marked = images.dropna(subset="duplicate_of")
    [original] = set(images["path"]) - set(marked["path"])
    assert marked["duplicate_of"].tolist() == [original, original]


def test_a_file_rewritten_and_rewritten_back_is_three_rows_of_which_the_last_counts(small):
    for content in (jpeg(1), jpeg(2), jpeg(1)):
        small.put({FIRST: content})
        assert small.ingest() == 1
    images = small.table("images")
    assert images["sha256"].tolist() == [images["sha256"][place] for place in (0, 1, 0)]
    assert images["sha256"].nunique() == 2
    replaced = _marks(images, "replaced_at")
    assert replaced == {0: images["ingested_at"][1], 1: images["ingested_at"][2]}
    # its own bytes again are no copy of another picture
    assert _marks(images, "duplicate_of") == {}


def test_a_file_rewritten_twice_between_two_ingests_is_two_rows(small):
    for contents in ([jpeg(1)], [jpeg(2), jpeg(3)]):
        for content in contents:
            small.put({FIRST: content})
        small.ingest()
    images = small.table("images")
    assert images["content"].tolist() == [jpeg(1), jpeg(3)]
    assert list(_marks(images, "replaced_at")) == [0]


def test_a_file_that_is_completed_leaves_the_quarantine_as_replaced(small):
    small.put({FIRST: jpeg(1)[:300], SECOND: jpeg(2)[:300]})
    small.ingest()
    assert _marks(small.table("quarantine"), "replaced_at") == {}
    small.put({FIRST: jpeg(1)})
    small.ingest()
    quarantine = small.table("quarantine").set_index("name")
    images = small.table("images").set_index("name")
    assert images["content"].to_dict() == {FIRST: jpeg(1)}
    assert _marks(quarantine, "replaced_at") == {FIRST: images.loc[FIRST, "ingested_at"]}
    assert _marks(images, "replaced_at") == {}


def test_a_picture_that_is_overwritten_with_nothing_is_replaced(small):
    small.put({FIRST: jpeg(1)})
    small.ingest()
    small.put({FIRST: b""})
    small.ingest()
    emptied = small.table("quarantine")
    assert emptied["reason"].tolist() == ["empty"]
    assert _marks(small.table("images"), "replaced_at") == {0: emptied["ingested_at"][0]}


def test_marking_again_writes_no_version(small):
    small.put({FIRST: jpeg(1), SECOND: jpeg(1), THIRD: jpeg(3)[:300]})
    small.ingest()
    small.put({FIRST: jpeg(4), THIRD: jpeg(3)})
    small.ingest()
    before = small.versions()
    assert len(_marks(small.table("images"), "replaced_at")) == 1
    mark_copies(small.spark, small.profile)
    assert small.versions() == before
