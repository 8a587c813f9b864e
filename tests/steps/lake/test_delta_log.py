"""Missing files of a table's version are found from its log and a listing."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from delta.tables import DeltaTable
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from steps.errors import UserError
from steps.lake.creation import create_table, parse_columns
from steps.lake.delta_log import DeltaLog, version_error
from steps.lake.newest import read_newest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def table(lake, tmp_path_factory) -> Path:
    """Five commits: a checkpoint at version 2, the file of the first taken out at version 3."""
    path = tmp_path_factory.mktemp("table") / "t"
    rows = lake.spark.createDataFrame([(day, f"a b%{day}") for day in range(3)], "n INT, p STRING")
    for number in range(3):
        (
            rows.where(f"n = {number}").write.format("delta").mode("append").partitionBy("p")
            .option("delta.checkpointInterval", "2").save(str(path))
        )  # fmt: skip
    lake.spark.sql(f"DELETE FROM delta.`{path}` WHERE n = 0")
    rows.where("n = 1").write.format("delta").mode("append").save(str(path))
    assert list(path.glob("_delta_log/*2.checkpoint.parquet"))
    return path


def data_files(table: Path, version: int, lake) -> list[Path]:
    reader = lake.spark.read.format("delta").option("versionAsOf", version)
    return [
        Path(row[0].removeprefix("file:"))
        for row in reader.load(str(table)).selectExpr("_metadata.file_path").distinct().collect()
    ]


@pytest.mark.parametrize("version", range(5))
def test_a_complete_version_misses_nothing(table, version):
    assert version_error(str(table), version, "") is None


@pytest.mark.parametrize("version", [1, 4], ids=["before the checkpoint", "after it"])
def test_a_table_that_was_created_again_is_refused(table, lake, version):
    id_ = DeltaTable.forPath(lake.spark, str(table)).detail().head()["id"]
    assert version_error(str(table), version, id_) is None
    assert version_error(str(table), version, id_[::-1]) == f"{table} was created again"


@pytest.mark.parametrize("version", [1, 4], ids=["before the checkpoint", "after it"])
@pytest.mark.parametrize(
    ("damage", "error"), [(b"", "another size"), (None, "gone")], ids=["cut", "deleted"]
)
def test_a_truncated_or_deleted_file_is_reported(table, lake, version, damage, error):
    from urllib.parse import unquote

    file = Path(unquote(str(data_files(table, version, lake)[0])))
    content = file.read_bytes()
    file.unlink() if damage is None else file.write_bytes(damage)
    try:
        assert error in version_error(str(table), version, "")
    finally:
        file.write_bytes(content)


def test_a_file_that_a_later_version_removed_is_not_missing(table, lake):
    gone = {f.name for f in table.rglob("part-*")} - {f.name for f in data_files(table, 4, lake)}
    (file,) = [path for path in table.rglob("part-*") if path.name in gone]
    content = file.read_bytes()
    file.unlink()
    try:
        assert version_error(str(table), 4, "") is None
        assert "gone" in version_error(str(table), 2, "")
    finally:
        file.write_bytes(content)


def test_a_missing_version_or_table_is_reported(table, tmp_path):
    assert version_error(str(table), 9, "") == f"version 9 of {table} is gone"
    assert "is gone" in version_error(str(tmp_path / "none"), 0, "")


def test_a_table_with_deletion_vectors_is_refused_and_a_copy_of_its_rows_is_read(lake, tmp_path):
    """Also if the protocol stands in a checkpoint alone."""
    table, copy, everything = str(tmp_path / "t"), str(tmp_path / "copy"), pc.field("id") >= 0
    schema = pa.schema([("id", pa.int64())])
    lake.spark.range(10).coalesce(1).write.format("delta").save(table)
    lake.spark.sql(
        f"ALTER TABLE delta.`{table}` SET TBLPROPERTIES "
        "(delta.enableDeletionVectors = true, delta.checkpointInterval = 2)"
    )
    for number in (3, 5):
        lake.spark.sql(f"DELETE FROM delta.`{table}` WHERE id = {number}")
        with pytest.raises(UserError, match="deletionVectors, which only Spark"):
            read_newest(table, schema, everything)
    lake.spark.read.format("delta").load(table).write.format("delta").save(copy)
    assert sorted(read_newest(copy, schema, everything)["id"].to_pylist()) == [
        0,
        1,
        2,
        4,
        6,
        7,
        8,
        9,
    ]


class Remembering(MemoryFileSystem):
    """Lists a folder once, as s3fs does: what is invalidated goes with the folders above it."""

    def ls(self, path, detail=True, **_):
        if path not in self.dircache:
            self.dircache[path] = super().ls(path, detail=True)
        return [entry if detail else entry["name"] for entry in self.dircache[path]]

    def invalidate_cache(self, path=None):
        for known in list(self.dircache):
            if path is None or f"{path}/".startswith(f"{known}/"):
                self.dircache.pop(known, None)


def test_a_version_that_another_program_wrote_is_seen(monkeypatch):
    monkeypatch.setitem(_registry, "memory", Remembering)
    place = "memory://seen by others"
    create_table(place, parse_columns("a INT"), (), {})
    assert DeltaLog(place).versions == [0]
    MemoryFileSystem().pipe_file(f"/seen by others/_delta_log/{1:020}.json", b"{}")
    assert DeltaLog(place).versions == [0, 1]
