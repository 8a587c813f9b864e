"""Quarantined files that are accepted now move to the images, the rest stays."""

import pytest
from delta.tables import DeltaTable
from drawing import encoded, file_name, jpeg
from PIL import Image
from small_lake import make_small_lake

from steps.ingestion.quarantine import retry_quarantine

pytestmark = pytest.mark.slow

LARGE = file_name(hour=1)
CUT, EMPTY, GOOD = file_name(hour=2), file_name(hour=3), file_name(hour=4)
UNNAMED, UNNAMED_CUT = "unnamed.jpg", "unnamed too.jpg"
FILES = {
    LARGE: encoded(Image.new("1", (12_000, 12_000)), "PNG"),
    CUT: jpeg(2)[:300],
    EMPTY: b"",
    GOOD: jpeg(3),
    UNNAMED: jpeg(4),
    UNNAMED_CUT: jpeg(5)[:300],
}
REASONS = {
    LARGE: "decompression bomb",
    CUT: "truncated",
    EMPTY: "empty",
    UNNAMED: "name",
    UNNAMED_CUT: "truncated",
}


def _ingested(lake, home):
    small = make_small_lake(lake, home)
    small.put(FILES)
    small.ingest(run_id="first")
    return small


@pytest.fixture(scope="module")
def ingested(lake, tmp_path_factory):
    return _ingested(lake, tmp_path_factory.mktemp("quarantine"))


@pytest.fixture
def kept(ingested, tmp_path):
    return ingested.copied(tmp_path)


def _reasons(kept) -> dict[str, str]:
    return kept.table("quarantine").set_index("name")["reason"].to_dict()


def _check_each_file_is_in_one_table_once(kept) -> None:
    names = [*kept.table("images")["name"], *kept.table("quarantine")["name"]]
    assert sorted(names) == sorted(FILES)


def _again(kept, **rules) -> int:
    return retry_quarantine(kept.spark, kept.profile, kept.rules(run_id="again", **rules))


def test_files_that_the_present_rules_accept_move_and_the_rest_stays(kept):
    assert _reasons(kept) == REASONS
    assert _again(kept, names="any") == 1
    assert _reasons(kept) == {name: why for name, why in REASONS.items() if name != UNNAMED}
    _check_each_file_is_in_one_table_once(kept)
    images = kept.table("images").set_index("name")
    assert images["ingest_run_id"].to_dict() == {GOOD: "first", UNNAMED: "again"}
    assert images.loc[UNNAMED, "content"] == FILES[UNNAMED]
    assert (images.loc[UNNAMED, "width"], images.loc[UNNAMED, "height"]) == (33, 31)


def test_a_second_retry_by_the_same_rules_changes_nothing(kept):
    assert _again(kept, names="any") == 1
    before = kept.versions(), kept.table("quarantine"), kept.table("images")
    assert _again(kept, names="any") == 0
    assert kept.versions() == before[0]
    assert kept.table("quarantine").equals(before[1])
    assert kept.table("images")["path"].tolist() == before[2]["path"].tolist()


def test_a_retry_interrupted_before_the_deletion_is_completed(kept):
    before = kept.versions()["quarantine"]
    assert _again(kept, names="any") == 1
    # as it was after the first of its two writes
    quarantine = DeltaTable.forPath(kept.spark, f"{kept.profile.lake}/quarantine")
    quarantine.restoreToVersion(before)
    assert UNNAMED in _reasons(kept)

    _again(kept, names="any")
    _check_each_file_is_in_one_table_once(kept)


def test_files_outside_of_the_source_stay(kept):
    rules = kept.rules(names="any")
    elsewhere = type(rules)(source=f"{kept.source}/deeper", pattern=rules.pattern, names="any")
    assert retry_quarantine(kept.spark, kept.profile, elsewhere) == 0
    assert _reasons(kept) == REASONS


def test_a_file_that_was_rewritten_since_is_not_ingested_twice(lake, tmp_path):
    kept = _ingested(lake, tmp_path)
    kept.put({UNNAMED: jpeg(6)})
    kept.ingest(names="any", run_id="second")
    assert _again(kept, names="any") == 0
    assert kept.table("images")["name"].tolist().count(UNNAMED) == 1
    old = kept.table("quarantine").set_index("name").loc[UNNAMED]
    assert old["content"] == FILES[UNNAMED] and old["replaced_at"] is not None
