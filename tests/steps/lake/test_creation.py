"""Tables that are created without Spark are those that Spark would create."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from pyspark.sql.types import StructType

from steps.errors import UserError
from steps.ingestion.tables import IMAGES, TABLES
from steps.lake.creation import create_table, parse_columns
from steps.lake.delta_log import DeltaLog


@pytest.mark.slow
def test_columns_are_read_as_spark_reads_them(lake):
    for table in TABLES:
        assert parse_columns(table.columns) == StructType.fromDDL(table.columns)


@pytest.mark.slow
def test_spark_finds_the_table_and_adds_a_version(lake, tmp_path):
    profile = lake.fresh(tmp_path)
    IMAGES.create(profile)
    found = lake.spark.read.format("delta").load(IMAGES.path(profile))
    assert found.schema == StructType.fromDDL(IMAGES.columns) and found.count() == 0
    found.selectExpr("*").unionByName(lake.spark.sql("SELECT 'a' AS path"), True).write.format(
        "delta"
    ).mode("append").save(IMAGES.path(profile))
    assert DeltaLog(IMAGES.path(profile)).versions == [0, 1]


def test_of_those_that_create_it_at_once_one_does(tmp_path):
    def create(_):
        create_table(str(tmp_path / "t"), parse_columns("a INT"), (), {})
        return DeltaLog(str(tmp_path / "t")).read(0).table_id

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(create, range(40)))) == 1


def test_a_folder_with_files_of_no_table_is_left_alone(tmp_path):
    (tmp_path / "part-0.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="has files and no Delta log"):
        create_table(str(tmp_path), parse_columns("a INT"), (), {})
