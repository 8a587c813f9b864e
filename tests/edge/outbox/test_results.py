import json
import re
import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
from agent_fakes import NOON, FakeClock

from edge.outbox.landing import Landing
from edge.outbox.result import Result
from edge.outbox.results import BYTES_PER_FILE, DATED_AT_ONCE, ROWS_PER_FILE, Results
from edge.outbox.store import DATABASE, Store


@pytest.fixture
def results(tmp_path) -> Results:
    return Results(Store(tmp_path), 1000, "a7")


def result(score: float = 0.9, **fields) -> Result:
    return Result("m", "4", "1", score, {"0": 1 - score, "1": score}, 1.5, **fields)


def test_a_file_of_results_has_the_columns_of_the_lake(results, clock):
    results.add(result(), clock.now())
    results.add(Result("m", "4", reason="unreadable: empty"), clock.now())
    batch = results.next(allow_partial=True)
    assert re.fullmatch(r"results/a7/[0-9a-f]{12}-00000001-[0-9a-f]{8}\.jsonl", batch.name)
    first, second = map(json.loads, batch.content.splitlines())
    assert first == {
        "file_name": None,
        "sha256": None,
        "model": "m",
        "model_version": "4",
        "label": "1",
        "score": 0.9,
        "latency_ms": 1.5,
        "reason": None,
        "scored_by": "edge:a7",
        "scored_at": NOON.isoformat(),
        "probabilities": {"0": pytest.approx(0.1), "1": 0.9},
    }
    assert second["reason"] == "unreadable: empty" and second["probabilities"] is None


def test_a_file_stays_the_same_until_it_is_sent(results, clock, tmp_path):
    results.add(result(), clock.now())
    first = results.next(allow_partial=True)
    results.add(result(0.7), clock.now())
    results._store.close()
    again = Results(Store(tmp_path), 1000, "a7")
    assert again.next(allow_partial=False) == first
    again.mark_sent(first)
    second = again.next(allow_partial=True)
    assert second.number == first.number + 1 and second.content.count(b"\n") == 1
    again.mark_sent(second)
    assert again.next(allow_partial=True) is None and again.size() == {"results": 2, "unsent": 0}


def test_closing_and_sending_a_file_is_durable(results, clock):
    """A power cut must undo neither, or other rows would get the same number."""
    statements = []
    results._store.database._connection.set_trace_callback(statements.append)
    results.add(result(), clock.now())
    batch = results.next(allow_partial=True)
    results.mark_sent(batch)
    for first in ("UPDATE results SET batch", "INSERT OR REPLACE INTO facts"):
        place = next(n for n, statement in enumerate(statements) if statement.startswith(first))
        settings = [n for n in statements[:place] if n.startswith("PRAGMA synchronous")]
        assert settings[-1] == "PRAGMA synchronous = FULL"
        after = [n for n in statements[place:] if n == "COMMIT" or n.startswith("PRAGMA")]
        assert after[0] == "COMMIT"


def test_other_rows_with_the_same_number_replace_no_file(tmp_path, clock):
    """A disk that reports writes too early loses a closed file of results in a power cut."""
    zone = tmp_path / "landing"
    zone.mkdir()
    Store(tmp_path).close()
    shutil.copy(tmp_path / DATABASE, tmp_path / "before")
    for score in (0.9, 0.7):
        shutil.copy(tmp_path / "before", tmp_path / DATABASE)
        results = Results(Store(tmp_path), 1000, "a7")
        results.add(result(score), clock.now())
        batch = results.next(allow_partial=True)
        assert batch.number == 1 and Landing(str(zone)).put(batch.name, batch.content) == batch.name
        results.mark_sent(batch)
        results._store.close()
    files = list((zone / "results" / "a7").iterdir())
    assert sorted(json.loads(file.read_bytes())["score"] for file in files) == [0.7, 0.9]


def test_few_results_wait_and_a_full_file_is_sent_at_once(tmp_path, clock):
    results = Results(Store(tmp_path), 10**6, "a7")
    for _ in range(ROWS_PER_FILE - 1):
        results.add(result(), clock.now())
    assert results.next(allow_partial=False) is None
    results.add(result(), clock.now())
    assert results.next(allow_partial=False).content.count(b"\n") == ROWS_PER_FILE


def test_a_result_waits_for_its_image(results, clock):
    results.add(result(), clock.now(), image_id=7)
    assert results.next(allow_partial=True) is None


def test_results_of_an_unset_clock_wait_for_the_time(results):
    clock = FakeClock(datetime(1970, 1, 1, tzinfo=UTC))
    results.add(result(), clock.now())
    clock.advance(60)
    assert results.next(allow_partial=True) is None
    clock.set_to(NOON)
    results.date(clock.now())
    row = json.loads(results.next(allow_partial=True).content)
    assert row["scored_at"] == "2026-07-13T11:59:00+00:00"


def test_many_results_are_dated_in_few_transactions(tmp_path):
    """One transaction per row would write every page of the database many times."""
    clock = FakeClock(datetime(1970, 1, 1, tzinfo=UTC))
    results = Results(Store(tmp_path), 10**6, "a7")
    for _ in range(DATED_AT_ONCE + 10):
        results.add(result(), clock.now())
    clock.set_to(NOON)
    statements = []
    results._store.database._connection.set_trace_callback(statements.append)
    results.date(clock.now())
    undated = "SELECT count(*) FROM results WHERE NOT is_synced"
    assert results._store.database.rows(undated)[0][0] == 10 and statements.count("COMMIT") == 1
    results.date(clock.now())
    assert results._store.database.rows(undated)[0][0] == 0 and statements.count("COMMIT") == 2
    results.date(clock.now())
    assert statements.count("COMMIT") == 2


def test_queries_of_every_second_scan_no_table(results, clock):
    """With half a million rows, a scan would delay the next result."""
    results.add(result(), clock.now())
    statements = []
    results._store.database._connection.set_trace_callback(statements.append)
    results.date(clock.now())
    results.next(allow_partial=False)
    results._store.database._connection.set_trace_callback(None)
    queries = [
        query for query in statements if query.startswith("SELECT") and "FROM results" in query
    ]
    assert len(queries) == 3
    for query in queries:
        (plan,) = results._store.database.rows(f"EXPLAIN QUERY PLAN {query}")
        assert "USING" in plan["detail"]


def test_the_store_is_bounded_and_sent_results_are_deleted_first(tmp_path, clock):
    results = Results(Store(tmp_path), 100, "a7")
    for _ in range(60):
        results.add(result(), clock.now())
    results.mark_sent(results.next(allow_partial=True))
    for _ in range(60):
        results.add(result(), clock.now())
    assert results.size() == {"results": 100, "unsent": 60}
    assert results._store.counts() == {}
    for _ in range(60):
        results.add(result(), clock.now())
    assert results.size() == {"results": 100, "unsent": 100}
    assert results._store.counts() == {"results_dropped": 20}


def test_the_history_is_sampled_evenly(tmp_path, clock):
    results = Results(Store(tmp_path), 10**6, "a7")
    for number in range(900):
        results.add(result(number / 900), clock.now())
    scores = [row["score"] for row in results.history(rows=900)]
    assert len(scores) == 300 and scores[-1] == 899 / 900
    assert np.allclose(np.diff(scores), 3 / 900)
    assert len(results.history(rows=86400)) == 4


def test_results_of_many_classes_are_bounded_by_their_bytes(tmp_path, clock):
    """1,000 classes are 37 kB a row: 500,000 rows would be 18 GB."""
    results = Results(Store(tmp_path), 500_000, "a7", max_bytes=2_000_000)
    many = {f"class {number:04}": 1 / 1000 + number * 1e-9 for number in range(1000)}
    for _ in range(300):
        results.add(Result("m", "4", "class 0999", 0.001, many, 1.5), clock.now())
    assert (tmp_path / DATABASE).stat().st_size < 3_000_000
    size = results.size()["results"]
    assert 30 < size < 100 and results._store.counts() == {"results_dropped": 300 - size}
    batch = results.next(allow_partial=False)
    assert len(batch.content) < 2 * BYTES_PER_FILE
    assert len(json.dumps(results.history(300))) < 100_000
