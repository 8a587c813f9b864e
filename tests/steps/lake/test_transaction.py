"""Several write to one table at the same time: each write is there once, whichever came first."""

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from steps.lake.table import Table
from steps.lake.transaction import Append, append_rows, retry_conflicts
from steps.lake.worker_append import DataFile

pytestmark = pytest.mark.slow

TABLE = Table("numbers", "id BIGINT, changed BIGINT, note STRING", indexed=1)
TIMES = 3


def append(lake, profile, start: int, times: int = TIMES) -> None:
    """As workers do whose files the driver commits."""
    path = TABLE.path(profile)
    for number in range(start, start + times):
        write = Append(lake.spark, path, f"append {number}")
        write.commit([written(path, number)], 1)


def written(path: str, number: int) -> str:
    """A data file with a row, as its action."""
    schema = to_arrow_schema(StructType.fromDDL(TABLE.columns))
    file = DataFile(TABLE, path, schema, ())
    file.write([{"id": number}])
    return file.close()


def save(lake, profile) -> None:
    for number in range(100, 100 + TIMES):
        rows = lake.spark.createDataFrame([(number, None, None)], TABLE.columns)
        append_rows(rows, TABLE.path(profile), f"save {number}")


def merge(lake, profile) -> None:
    change = {"changed": "coalesce(row.changed, 0) + 1"}
    for _ in range(TIMES):
        rows = lake.spark.range(TIMES).toDF("id")
        TABLE.merge(
            *(lake.spark, profile, rows, "row.id = new.id"),
            lambda into: into.whenMatchedUpdate(set=change),
        )


def compact(lake, profile) -> None:
    for _ in range(TIMES):
        retry_conflicts(TABLE.load(lake.spark, profile).optimize().executeCompaction)


def open_again(lake, profile) -> None:
    """As a run of a newer version of the project, which adds a column."""
    for number in range(TIMES):
        newer = Table("numbers", f"{TABLE.columns}, added_{number} INT", indexed=1)
        newer.open(lake.spark, profile)


@pytest.fixture
def profile(lake, tmp_path):
    return lake.fresh(tmp_path)


def ids(lake, profile) -> list[int]:
    return sorted(row["id"] for row in TABLE.read(lake.spark, profile).select("id").collect())


@pytest.mark.parametrize("meanwhile", [merge, compact, open_again, save])
def test_an_append_that_others_overtake_is_committed_once(lake, profile, meanwhile):
    TABLE.open(lake.spark, profile)
    append(lake, profile, 0)
    before = ids(lake, profile)
    path = TABLE.path(profile)
    write, late = (Append(lake.spark, path, "late") for _ in range(2))
    action = written(path, -1)
    meanwhile(lake, profile)
    write.commit([action], 1)
    late.commit([action], 1)  # as another run that resumes the same work
    assert ids(lake, profile)[: len(before) + 1] == [-1, *before]


def test_each_commit_of_the_log_is_read_once_for_any_number_of_appends(lake, profile, monkeypatch):
    TABLE.create(profile)
    reads: Counter[str] = Counter()
    real = LocalFileSystem.open

    def counting(self, path, *args, **options):
        reads[path.rpartition("_delta_log/")[2]] += "_delta_log/" in path
        return real(self, path, *args, **options)

    monkeypatch.setattr(LocalFileSystem, "open", counting)
    path = TABLE.path(profile)
    for number in range(12):
        write = Append(lake.spark, path, f"append {number}")
        assert not write.is_done()
        write.commit([written(path, number)], 1)
        assert Append(lake.spark, path, f"append {number // 2}").is_done()
    assert set(+reads) == {f"{version:020}.json" for version in range(13)}
    assert set(reads.values()) <= {0, 1}
    shutil.rmtree(path)  # another table of this place has none of the names
    TABLE.create(profile)
    assert not Append(lake.spark, path, "append 0").is_done()


def test_writers_of_each_kind_at_once_lose_nothing(lake, profile):
    TABLE.open(lake.spark, profile)
    append(lake, profile, 0)
    appending = [partial(append, start=start) for start in (10, 20)]
    with ThreadPoolExecutor(6) as threads:
        writers = (*appending, save, merge, compact, open_again)
        done = [threads.submit(writer, lake, profile) for writer in writers]
    for one in done:
        one.result()
    expected = {start + number for start in (0, 10, 20, 100) for number in range(TIMES)}
    assert ids(lake, profile) == sorted(expected)
    rows = TABLE.read(lake.spark, profile)
    assert {row["changed"] for row in rows.where(f"id < {TIMES}").collect()} == {TIMES}
    assert f"added_{TIMES - 1}" in rows.columns


@pytest.mark.parametrize("older", [False, True])
def test_runs_that_open_a_table_at_once_all_get_it(lake, profile, older):
    if older:
        Table("numbers", "id BIGINT", indexed=1).open(lake.spark, profile)
    with ThreadPoolExecutor(4) as threads:
        opened = list(threads.map(lambda _: TABLE.open(lake.spark, profile), range(4)))
    assert {tuple(table.toDF().columns) for table in opened} == {("id", "changed", "note")}


def test_a_thread_that_never_used_spark_appends_to_a_table_with_a_checkpoint(lake, profile):
    TABLE.open(lake.spark, profile)
    append(lake, profile, 0, times=12)
    for checksum in Path(TABLE.path(profile), "_delta_log").glob("*.crc"):
        checksum.unlink()  # as while another writer is between its commit and the checksum
    lake.spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(append, lake, profile, start=20).result()
    assert len(ids(lake, profile)) == 12 + TIMES
