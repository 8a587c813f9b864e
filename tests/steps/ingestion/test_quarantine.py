"""Quarantined files that are accepted now move to the images, the rest stays."""

import pytest
from drawing import encoded, file_name, jpeg
from PIL import Image
from small_lake import LIMITS, make_small_lake

from steps.ingestion.quarantine import retry_quarantine
from steps.ingestion.stream import ingest_files
from steps.landing.listing import list_landing_zone

pytestmark = pytest.mark.slow

LARGE = file_name(hour=1)
CUT, EMPTY, GOOD = file_name(hour=2), file_name(hour=3), file_name(hour=4)
LATE = "late.jpg"
FILES = {
    LARGE: encoded(Image.new("1", (12_000, 12_000)), "PNG"),
    CUT: jpeg(2)[:300],
    EMPTY: b"",
    GOOD: jpeg(3),
    LATE: jpeg(4),
}
REASONS = {LARGE: "decompression bomb", CUT: "truncated", EMPTY: "empty", LATE: "gone"}


def _ingested(lake, home):
    small = make_small_lake(lake, home)
    small.put(FILES)
    files = list_landing_zone(str(small.zone)).files
    late = small.zone / LATE
    late.rename(home / LATE)  # it vanishes between listing and reading, and comes back
    ingest_files(lambda: small.spark, small.profile, files, small.rules(run_id="first"), LIMITS)
    (home / LATE).rename(late)
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
    assert _again(kept) == 1
    assert _reasons(kept) == {name: why for name, why in REASONS.items() if name != LATE}
    _check_each_file_is_in_one_table_once(kept)
    images = kept.table("images").set_index("name")
    assert images["ingest_run_id"].to_dict() == {GOOD: "first", LATE: "again"}
    assert images.loc[LATE, "content"] == FILES[LATE]
    assert (images.loc[LATE, "width"], images.loc[LATE, "height"]) == (33, 31)


def test_a_second_retry_by_the_same_rules_changes_nothing(kept):
    assert _again(kept) == 1
    before = kept.versions(), kept.table("quarantine"), kept.table("images")
    assert _again(kept) == 0
    assert kept.versions() == before[0]
    assert kept.table("quarantine").equals(before[1])
    assert kept.table("images")["path"].tolist() == before[2]["path"].tolist()


def test_a_retry_interrupted_before_the_deletion_is_completed(kept, monkeypatch):
    def interrupt():
        raise InterruptedError

    with monkeypatch.context() as context:
        context.setattr("os.sync", interrupt)  # what is deleted next is in images, on the disk
        with pytest.raises(InterruptedError):
            _again(kept)
    assert LATE in _reasons(kept) and LATE in kept.table("images")["name"].tolist()

    _again(kept)
    _check_each_file_is_in_one_table_once(kept)


def test_files_outside_of_the_source_stay(kept):
    rules = kept.rules()
    elsewhere = type(rules)(source=f"{kept.source}/deeper", pattern=rules.pattern)
    assert retry_quarantine(kept.spark, kept.profile, elsewhere) == 0
    assert _reasons(kept) == REASONS


def test_a_file_that_was_rewritten_since_is_not_ingested_twice(lake, tmp_path):
    kept = _ingested(lake, tmp_path)
    kept.put({LATE: jpeg(6)})
    kept.ingest(run_id="second")
    assert _again(kept) == 0
    assert kept.table("images")["name"].tolist().count(LATE) == 1
    old = kept.table("quarantine").set_index("name").loc[LATE]
    assert old["reason"] == "gone" and old["replaced_at"] is not None


def test_what_an_earlier_version_refused_for_its_name_becomes_an_image(kept):
    lake = kept.profile.lake
    columns = "path, file_name, sha256, bytes, modified_at, ingested_at, ingest_run_id, content"
    kept.spark.sql(
        f"INSERT INTO delta.`{lake}/quarantine` ({columns}, reason, error) "
        f"SELECT {columns}, 'name', 'it does not match' FROM delta.`{lake}/images`"
    )
    kept.spark.sql(f"DELETE FROM delta.`{lake}/images`")
    assert _reasons(kept)[GOOD] == "name"
    assert _again(kept) == 2
    assert GOOD in kept.table("images")["name"].tolist() and GOOD not in _reasons(kept)
    _check_each_file_is_in_one_table_once(kept)
