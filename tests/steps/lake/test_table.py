"""The Delta tables as they are created, and the condition that selects a source's rows."""

import pytest

from steps.ingestion.tables import IMAGES, QUARANTINE, SCORES, path_is_under
from steps.lake.table import current_version

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("table", "partitions", "long"),
    [
        (IMAGES, ["date"], ["gps", "statistics", "histogram", "exif", "content"]),
        (QUARANTINE, [], ["content"]),
        (SCORES, [], ["probabilities"]),
    ],
)
def test_a_table_is_created_once_with_long_columns_after_the_indexed(
    lake, tmp_path, table, partitions, long
):
    profile = lake.fresh(tmp_path)
    columns = table.open(lake.spark, profile).toDF().columns
    again = table.open(lake.spark, profile)
    assert again.toDF().columns == columns
    assert current_version(again) == 0
    detail = again.detail().head()
    assert detail["location"] == f"file:{table.path(profile)}"
    assert detail["partitionColumns"] == partitions
    indexed = int(detail["properties"]["delta.dataSkippingNumIndexedCols"])
    assert indexed == table.indexed
    assert set(long) <= set(columns[indexed:])
    assert {"path", "sha256"} <= set(columns[:indexed])


@pytest.mark.parametrize(
    "source",
    ["file:/in", "file:/in/deeper", "file:/o'clock %3A", "file:/a\\b", "file:/100%_"],
)
def test_only_rows_below_the_source_are_selected(lake, source):
    below = [f"{source}/1.jpg", f"{source}/shoes/2.jpg"]
    beside = [source, f"{source}2/1.jpg", f"x{source}/1.jpg", source.replace("%", "x") + "!/1.jpg"]
    paths = lake.spark.createDataFrame([(path,) for path in below + beside], "path STRING")
    picked = [row["path"] for row in paths.where(path_is_under(source)).collect()]
    assert sorted(picked) == sorted(below)


def test_columns_that_an_older_table_lacks_are_added(lake, tmp_path):
    profile = lake.fresh(tmp_path)
    older = lake.spark.sql("SELECT 'file:/in/1.jpg' AS path, 'truncated' AS reason")
    older.write.format("delta").save(QUARANTINE.path(profile))
    table = QUARANTINE.open(lake.spark, profile).toDF()
    assert {"path", "reason", "replaced_at", "content"} <= set(table.columns)
    assert [(row["path"], row["replaced_at"]) for row in table.collect()] == [
        ("file:/in/1.jpg", None)
    ]
