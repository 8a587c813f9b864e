"""Hundreds of malformed files in one ingest: each ends where it belongs, and no worker dies."""

from collections import Counter

import pytest
from malformed import IMAGE, KINDS, malformed

from steps.ingestion.rows import Rules
from steps.ingestion.stream import ingest_files
from steps.ingestion.tables import IMAGES, QUARANTINE
from steps.landing.arrivals import Limits
from steps.landing.listing import list_landing_zone

pytestmark = [pytest.mark.slow, pytest.mark.proof]

SEED, OF_EACH = 0, 30


@pytest.fixture(scope="module")
def files():
    return list(malformed(SEED, OF_EACH))


@pytest.fixture(scope="module")
def taken(lake, files, tmp_path_factory):
    """What became of each file, by its path below the landing zone."""
    home = tmp_path_factory.mktemp("malformed")
    zone, profile = home / "landing", lake.fresh(home)
    for file in files:
        (zone / file.name).parent.mkdir(parents=True, exist_ok=True)
        (zone / file.name).write_bytes(file.content)
    landing = list_landing_zone(str(zone))
    rules = Rules(source=landing.source, pattern=profile.file_name)
    # Spark in one process tries a task once: a worker that died would end the stream here
    ingest_files(lambda: lake.spark, profile, landing.files, rules, Limits(files=200, bytes=10**9))
    rows = []
    for table, columns in (
        (IMAGES, "'image' AS outcome, exif_error"),
        (QUARANTINE, "reason AS outcome, error"),
    ):
        found = table.read(lake.spark, profile)
        rows += found.selectExpr("path", *columns.split(", "), "content").collect()
    return {row[0].removeprefix(f"{landing.source}/"): tuple(row)[1:] for row in rows}, len(rows)


def test_there_are_hundreds_of_every_kind(files):
    assert len(files) >= 300
    assert Counter(file.kind for file in files) == dict.fromkeys(KINDS, OF_EACH)


def test_each_file_is_in_one_table_once(files, taken):
    rows, count = taken
    assert rows.keys() == {file.name for file in files}
    assert count == len(files)


@pytest.mark.parametrize("kind", KINDS)
def test_each_file_has_the_expected_outcome(files, taken, kind):
    rows, _ = taken
    wrong = {
        file.name: rows[file.name][:2]
        for file in files
        if file.kind == kind and rows[file.name][0] not in file.outcomes
    }
    assert wrong == {}


def test_damaged_exif_is_reported_with_the_image(files, taken):
    rows, _ = taken
    for file in files:
        if file.exif_error:
            assert rows[file.name][0] == IMAGE and rows[file.name][1]


def test_the_bytes_are_kept(files, taken):
    rows, _ = taken
    assert all(bytes(rows[file.name][2] or b"") == file.content for file in files)
