"""Rows of labels: only added, each once, the newest one of an image counts."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from steps.ingestion.label_rows import (
    LabelRow,
    add_labels,
    all_labels,
    current_labels,
    labels_version,
)
from steps.ingestion.tables import LABELS, open_tables

pytestmark = pytest.mark.slow

NINE = datetime(2026, 7, 13, 9, tzinfo=UTC)


def row(id: str, label: str | None = "1", sha256: str = "a", seconds: int = 0, **other) -> LabelRow:
    at = NINE + timedelta(seconds=seconds)
    return LabelRow(**{"labeller": "ann", "how": "key", "labelled_at": at} | other, id=id,
                    sha256=sha256, label=label)  # fmt: skip


@pytest.fixture
def profile(lake, tmp_path):
    return lake.fresh(tmp_path)


def stored(profile) -> list[LabelRow]:
    return [LabelRow(**found) for found in all_labels(profile).to_pylist()]


def test_rows_are_read_as_they_were_added(lake, profile):
    assert (stored(profile), labels_version(profile)) == ([], -1)
    rows = [
        row("1", "Tür & 'it's'", how="proposal", proposed_by="7"),
        row("2", None, "b", 1, how="not sure", labeller="Bö"),
    ]
    assert add_labels(lake.spark, profile, rows, "a sitting of Ann's") == 2
    assert stored(profile) == rows
    assert [found["label"] for found in LABELS.read(lake.spark, profile).collect()] == [
        "Tür & 'it's'",
        None,
    ]


def test_rows_are_added_once_and_each_version_has_its_message(lake, profile):
    first, second = [row("1"), row("2", "0", "b")], [row("2", "0", "b"), row("3", "0", seconds=5)]
    added = [
        add_labels(lake.spark, profile, rows, message)
        for rows, message in ((first, "one"), (first, "one again"), (second, "two"), ([], "none"))
    ]
    assert added == [2, 0, 1, 0]
    assert stored(profile) == [row("1"), row("2", "0", "b"), row("3", "0", seconds=5)]
    history = LABELS.load(lake.spark, profile).history().orderBy("version").collect()
    assert [version["userMetadata"] for version in history] == [None, "one", "two"]
    lake.spark.sql(f"DELETE FROM delta.`{LABELS.path(profile)}` WHERE id = '3'")
    assert LABELS.load(lake.spark, profile).history(1).head()["userMetadata"] is None


@pytest.mark.parametrize(
    ("rows", "label"),
    [
        ([row("1", "0"), row("2", "1", seconds=1)], "1"),
        ([row("2", "1", seconds=1), row("1", "0")], "1"),
        ([row("1", "0", seconds=2), row("2", None, seconds=3)], None),
        ([row("b", "0"), row("a", "1")], "0"),  # of the same moment: the greater id
        ([row("a", "1"), row("b", "0")], "0"),
    ],
)
def test_the_newest_row_of_an_image_counts(lake, profile, rows, label):
    for number, one in enumerate(rows):
        add_labels(lake.spark, profile, [one, row(f"other {number}", sha256="b")], "a row")
    found = {sha256: one["label"] for sha256, one in current_labels(profile).items()}
    assert found == {"a": label, "b": "1"}


def test_after_compaction_and_vacuum_the_same_rows_count(lake, profile):
    for number in range(3):
        add_labels(lake.spark, profile, [row(str(number), str(number), seconds=number)], "one")
    table = LABELS.load(lake.spark, profile)
    table.optimize().executeCompaction()
    lake.spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    table.vacuum(0)
    assert len(stored(profile)) == 3
    assert [one["label"] for one in current_labels(profile).values()] == ["2"]


def test_those_who_commit_at_the_same_time_all_win_and_no_row_doubles(lake, profile):
    open_tables(lambda: lake.spark, profile)
    shared = row("shared", sha256="s")

    def commit(number: int) -> int:
        return add_labels(lake.spark, profile, [row(str(number)), shared], f"by {number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(commit, range(4)))
    assert sorted(one.id for one in stored(profile)) == ["0", "1", "2", "3", "shared"]
