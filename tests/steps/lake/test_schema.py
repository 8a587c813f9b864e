"""Tables carry the version of their schema: older ones are migrated, later ones are refused."""

from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyspark.sql import SparkSession

from steps.errors import UserError
from steps.ingestion.tables import DEVICES, LABELS, view_tables
from steps.lake.delta_log import DeltaLog, version_error
from steps.lake.newest import Newest, read_newest
from steps.lake.schema import PROPERTY, SCHEMA, require_known
from steps.lake.table import current_version

NO_SPARK = partial(pytest.fail, "this needs no Spark")


@pytest.mark.parametrize("schema", [None, "0", str(SCHEMA)])
def test_an_older_and_the_newest_schema_are_known(schema):
    require_known("images", {PROPERTY: schema} if schema else {"delta.appendOnly": "true"})


@pytest.mark.parametrize("schema", [str(SCHEMA + 1), "10", "2.0", "-1", "", "²"])
def test_any_other_schema_is_one_line_that_says_to_update(schema):
    with pytest.raises(UserError, match=r"wrote /lake/images .* update: git pull && make setup$"):
        require_known("/lake/images", {PROPERTY: schema})


def _write_older(lake, profile) -> None:
    """Write `devices` as it was before 0.1.0: without a schema and with one column less."""
    columns = [f"CAST(NULL AS {kind}) AS {name}" for name, kind in DEVICES.types.items()]
    row = lake.spark.sql(f"SELECT {', '.join(columns)}").drop("agent_version", "device_id")
    row.selectExpr("'a7' AS device_id", "*").write.format("delta").save(DEVICES.path(profile))


def _set_schema(lake, path: str, schema: int) -> None:
    lake.spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('{PROPERTY}' = '{schema}')")


def _snapshot(path: str):
    log = DeltaLog(path)
    return log.read(log.versions[-1])


@pytest.mark.slow
def test_a_table_from_before_is_read_and_gets_columns_and_schema_when_it_is_opened(lake, tmp_path):
    profile = lake.fresh(tmp_path)
    _write_older(lake, profile)
    before = Newest(DEVICES, profile, NO_SPARK)
    assert before.exists and not before.is_complete
    rows = before.rows(pa.schema({"device_id": pa.string()}), pc.field("device_id").is_valid())
    assert rows.to_pylist() == [{"device_id": "a7"}]
    assert [row["device_id"] for row in DEVICES.read(lake.spark, profile).collect()] == ["a7"]

    table = DEVICES.open(lake.spark, profile)
    assert Newest(DEVICES, profile, NO_SPARK).is_complete
    assert [row["device_id"] for row in table.toDF().collect()] == ["a7"]
    migrated = current_version(table)
    assert current_version(DEVICES.open(lake.spark, profile)) == migrated, "once"
    assert "agent_version" not in DEVICES.read(lake.spark, profile, 0).columns


@pytest.mark.slow
def test_a_table_with_all_columns_gets_its_schema_too(lake, tmp_path):
    profile = lake.fresh(tmp_path)
    rows = lake.spark.createDataFrame([], LABELS.columns)
    rows.write.format("delta").save(LABELS.path(profile))
    assert not Newest(LABELS, profile, NO_SPARK).is_complete
    LABELS.open(lake.spark, profile)
    assert Newest(LABELS, profile, NO_SPARK).is_complete


@pytest.mark.slow
def test_a_later_schema_that_comes_before_a_migration_ends_stays(lake, tmp_path, monkeypatch):
    profile, path = lake.fresh(tmp_path), LABELS.path(lake.fresh(tmp_path))
    rows = lake.spark.createDataFrame([], LABELS.columns)
    rows.write.format("delta").save(path)
    sql = SparkSession.sql

    def with_another(spark, statement):
        monkeypatch.undo()
        _set_schema(lake, path, SCHEMA + 1)
        return sql(spark, statement)

    monkeypatch.setattr(SparkSession, "sql", with_another)
    with pytest.raises(UserError, match=rf"{path} \(schema {SCHEMA + 1}; .* update: git pull"):
        LABELS.open(lake.spark, profile)
    log = DeltaLog(path)
    assert log.replay(log.versions[-1]).properties[PROPERTY] == str(SCHEMA + 1)


@pytest.mark.slow
def test_a_later_schema_is_refused_by_every_reader_and_writer(lake, tmp_path):
    profile, spark = lake.fresh(tmp_path), lake.spark
    LABELS.open(spark, profile)
    path = LABELS.path(profile)
    _set_schema(lake, path, SCHEMA + 1)
    schema, every = pa.schema({"id": pa.string()}), pc.field("id").is_valid()
    rows = spark.createDataFrame([], LABELS.columns)
    commits = len(list(Path(path, "_delta_log").glob("*.json")))
    for use in (
        lambda: LABELS.read(spark, profile),
        lambda: LABELS.load(spark, profile),
        lambda: LABELS.open(spark, profile),
        lambda: LABELS.merge(spark, profile, rows, "row.id = new.id", lambda into: into),
        lambda: view_tables(spark, profile),
        lambda: Newest(LABELS, profile, NO_SPARK).is_complete,
        lambda: Newest(LABELS, profile, NO_SPARK).rows(schema, every),
        lambda: read_newest(path, schema, every),
        lambda: version_error(path, 1, ""),
    ):
        with pytest.raises(UserError, match=rf"{path} \(schema {SCHEMA + 1}; .* update: git pull"):
            use()
    assert len(list(Path(path, "_delta_log").glob("*.json"))) == commits


@pytest.mark.slow
def test_the_schema_is_found_in_a_checkpoint(lake, tmp_path):
    profile = lake.fresh(tmp_path)
    LABELS.open(lake.spark, profile)
    path = LABELS.path(profile)
    delta = lake.spark._jvm.org.apache.spark.sql.delta
    delta.DeltaLog.forTable(lake.spark._jsparkSession, path).checkpoint()
    assert list(Path(path, "_delta_log").glob("*.checkpoint.parquet"))
    Path(path, "_delta_log", f"{0:020}.json").write_text("")
    assert _snapshot(path).properties[PROPERTY] == str(SCHEMA)
