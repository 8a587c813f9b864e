"""The newest version of a table: read without Spark, or by Spark if it demands more of readers."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from steps.lake.newest import Newest
from steps.lake.table import Table

pytestmark = pytest.mark.slow

LOAVES = Table("loaves", "name STRING, weight INT, baked_at TIMESTAMP, crumb BINARY", indexed=3)
SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("weight", pa.int32()),
        ("baked_at", pa.timestamp("us", "UTC")),
        ("crumb", pa.binary()),
    ]
)
HEAVY = pc.field("weight") > 10


def no_spark():
    raise AssertionError("Spark was asked for")


@pytest.fixture(params=["plain", "with deletion vectors"])
def loaves(lake, tmp_path, request):
    """Four rows in two files, one of which is deleted; and what may read them."""
    profile = lake.fresh(tmp_path)
    LOAVES.open(lake.spark, profile)
    path, is_plain = LOAVES.path(profile), request.param == "plain"
    if not is_plain:
        setting = "SET TBLPROPERTIES ('delta.enableDeletionVectors' = true)"
        lake.spark.sql(f"ALTER TABLE delta.`{path}` {setting}")
    for numbers in ((1, 20), (30, 40)):
        values = ", ".join(
            f"('{n}', {n}, timestamp '2026-07-0{n // 10 + 1} 08:00:00.25', x'0{n // 10}')"
            for n in numbers
        )
        lake.spark.sql(f"INSERT INTO delta.`{path}` VALUES {values}")
    lake.spark.sql(f"DELETE FROM delta.`{path}` WHERE weight = 40")
    return profile, no_spark if is_plain else lambda: lake.spark


def test_the_rows_are_those_of_the_newest_version(lake, loaves):
    profile, spark = loaves
    newest = Newest(LOAVES, profile, spark)
    expected = LOAVES.read(lake.spark, profile).where("weight > 10").toArrow().cast(SCHEMA)
    for few in (False, True):
        found = newest.rows(SCHEMA, HEAVY, few).sort_by("name")
        assert found.to_pylist() == expected.sort_by("name").to_pylist() and found.num_rows == 2
    assert newest.rows(SCHEMA, pc.field("weight") > 100, few=True).schema == SCHEMA
    lake.spark.sql(f"INSERT INTO delta.`{LOAVES.path(profile)}` VALUES ('50', 50, NULL, NULL)")
    assert newest.rows(SCHEMA, HEAVY).num_rows == 2, "it is another version now"
    assert Newest(LOAVES, profile, spark).rows(SCHEMA, HEAVY).num_rows == 3
    if spark is not no_spark:
        with pytest.raises(AssertionError, match="Spark was asked for"):
            Newest(LOAVES, profile, no_spark).rows(SCHEMA, HEAVY)


def test_a_table_is_complete_with_all_its_columns(lake, tmp_path):
    profile = lake.fresh(tmp_path)
    assert not Newest(LOAVES, profile, no_spark).exists
    assert not Newest(LOAVES, profile, no_spark).is_complete
    id_ = LOAVES.open(lake.spark, profile).detail().head()["id"]
    newest = Newest(LOAVES, profile, no_spark)
    assert (newest.is_complete, newest.table_id, newest.snapshot.version) == (True, id_, 0)
    assert newest.rows(SCHEMA, HEAVY).num_rows == 0
    longer = replace(LOAVES, columns=f"{LOAVES.columns}, flour STRING")
    assert Newest(longer, profile, no_spark).exists
    assert not Newest(longer, profile, no_spark).is_complete
