"""What workers write into a table: the rows that Spark would write, and bounds that hold."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from drawing import file_name, jpeg
from pyarrow import parquet
from small_lake import make_small_lake

from steps.ingestion.rows import build_images
from steps.ingestion.stream import ARRIVAL
from steps.ingestion.tables import IMAGES
from steps.lake import worker_append
from steps.lake.transaction import Append
from steps.lake.worker_append import Appended, append_by_workers, write_files
from steps.landing.listing import list_landing_zone

pytestmark = pytest.mark.slow

DAYS = [file_name(day=day, hour=hour) for day in (1, 2, 3) for hour in (0, 23)]
OTHERS = {"shoes/1.jpg": jpeg(7), "hüte/2.jpg": jpeg(8), "cut.jpg": jpeg(9)[:200]}
FILES = {name: jpeg(seed) for seed, name in enumerate(DAYS)} | OTHERS


@pytest.fixture(scope="module")
def small(lake, tmp_path_factory):
    """A lake with all files ingested."""
    small = make_small_lake(lake, tmp_path_factory.mktemp("data-files"))
    small.put(FILES)
    small.ingest()
    return small


@pytest.fixture
def other(small, lake, tmp_path):
    """A lake without rows, beside the same landing zone."""
    other = make_small_lake(lake, tmp_path)
    other.zone = small.zone
    IMAGES.open(lake.spark, other.profile)
    return other


def _images(small) -> Path:
    return Path(IMAGES.path(small.profile))


def _actions(small, kind: str) -> list[dict]:
    logs = sorted((_images(small) / "_delta_log").glob("*.json"))
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    return [line[kind] for line in lines if kind in line]


def _comparable(rows: pd.DataFrame) -> list[dict]:
    records = rows.drop(columns=["ingested_at"]).sort_values("path").to_dict("records")
    return json.loads(json.dumps(records, default=repr))


def test_the_rows_equal_those_that_spark_writes_into_a_table_with_constraints(small, other, lake):
    lake.spark.sql(
        f"ALTER TABLE delta.`{IMAGES.path(other.profile)}` "
        "ADD CONSTRAINT some_bytes CHECK (bytes > 0)"
    )
    assert not Append(lake.spark, IMAGES.path(other.profile), "a").is_supported
    other.ingest()
    for name in ("images", "quarantine"):
        assert _comparable(small.table(name)) == _comparable(other.table(name))
    assert len(small.table("images")) == len(FILES) - 1


def test_a_file_holds_one_day_uncompressed_within_the_bounds_in_the_log(small):
    added = _actions(small, "add")
    assert {add["partitionValues"]["date"] for add in added} >= {
        f"2026-07-{d:02}" for d in (1, 2, 3)
    }
    for add in added:
        path = _images(small) / add["path"]
        assert path.stat().st_size == add["size"]
        table = parquet.read_table(path, partitioning=None)
        group = parquet.ParquetFile(path).metadata.row_group(0)
        assert {group.column(i).compression for i in range(group.num_columns)} == {"UNCOMPRESSED"}
        stats = json.loads(add["stats"])
        assert stats["numRecords"] == table.num_rows
        for row in table.to_pylist():
            for name in stats["minValues"]:
                bounds = [stats["minValues"][name], stats["maxValues"][name]]
                if isinstance(value := row[name], datetime):
                    bounds = [datetime.fromisoformat(text) for text in bounds]
                    bounds[1] += timedelta(milliseconds=1)
                assert value is None or bounds[0] <= value <= bounds[1]
        nulls = {name: table[name].null_count for name in stats["nullCount"]}
        assert stats["nullCount"] == nulls
        assert set(stats["nullCount"]) >= {"path", "sha256", "captured_at", "label", "replaced_at"}


def test_a_row_is_found_by_its_exact_time_of_arrival(small, lake):
    for time in small.table("images")["ingested_at"]:
        condition = f"ingested_at = timestamp '{time.tz_localize(UTC).isoformat()}'"
        images = lake.spark.read.format("delta").load(str(_images(small)))
        assert images.where(condition).count() >= 1


def test_the_history_counts_what_was_added(small):
    [write] = [info for info in _actions(small, "commitInfo") if info["operation"] == "WRITE"]
    added = _actions(small, "add")
    assert write["operationMetrics"] == {
        "numFiles": str(len(added)),
        "numOutputRows": str(len(FILES) - 1),
        "numOutputBytes": str(sum(add["size"] for add in added)),
    }


def _append(small, name: str) -> Appended | None:
    files = [tuple(file) for file in list_landing_zone(str(small.zone)).files]
    arrived = small.spark.createDataFrame(files, ARRIVAL)
    build = partial(build_images, rules=small.rules())
    path = IMAGES.path(small.profile)
    return append_by_workers(arrived, build, IMAGES, path, name, ("path", "sha256"))


def test_files_are_read_once_they_are_committed_and_a_name_commits_once(other, monkeypatch):
    with monkeypatch.context() as interrupted:
        interrupted.setattr(Append, "commit", _fails)
        with pytest.raises(OSError, match="the power fails"):
            _append(other, "chunk")
    assert len(list(_images(other).glob("date=*/*.parquet"))) >= 3
    assert other.table("images").empty
    assert not Append(other.spark, IMAGES.path(other.profile), "chunk").is_done()
    appended = _append(other, "chunk")
    assert appended.version == 1 and len(appended.keys) == len(FILES) - 1
    rows = other.table("images")
    assert dict(appended.keys) == dict(zip(rows["path"], rows["sha256"], strict=True))
    assert _append(other, "chunk") is None and len(other.table("images")) == len(FILES) - 1
    assert not Append(other.spark, IMAGES.path(other.profile), "another").is_done()


def _fails(*_):
    raise OSError("the power fails")


def test_a_worker_keeps_few_files_open(other, monkeypatch):
    monkeypatch.setattr(worker_append, "MAX_OPEN_FILES", 2)
    path = IMAGES.path(other.profile)
    rows = [
        {
            "path": f"file:/{n}",
            "bytes": n,
            "date": date(2026, 7, 1 + n % 3),
            "sha256": "5feceb66",
            "content": b"x",
        }
        for n in range(9)
    ]
    types = {"bytes": pa.int64(), "content": pa.binary()}
    names = ("path", "bytes", "sha256", "content")
    schema = pa.schema([(name, types.get(name, pa.string())) for name in names])
    written = write_files(iter([]), lambda _: ([row] for row in rows), IMAGES, path, schema, ())
    [task] = [row for batch in written for row in batch.to_pylist()]
    adds = [json.loads(action)["add"] for action in task["actions"]]
    assert task["rows"] == 9 and task["keys"] == []
    assert Counter(add["partitionValues"]["date"] for add in adds).total() > 3
    found = pa.concat_tables(
        [parquet.read_table(Path(path) / add["path"], partitioning=None) for add in adds]
    )
    assert sorted(found["bytes"].to_pylist()) == list(range(9))
    assert found.column_names == list(names)
