"""Ingests that are killed wherever they are, while files keep arriving."""

import hashlib
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from drawing import file_name, jpeg
from ingest_process import Place, kill, make_place, wait_until
from malformed import IMAGE, malformed

pytestmark = [pytest.mark.slow, pytest.mark.proof, pytest.mark.timeout(7200)]

KILLS = int(os.environ.get("KILLS", "7"))  # one at each stage of an ingest
SEED = int(os.environ.get("KILLS_SEED", "1"))
SMALL_BATCHES = ("--max_files_per_batch", "5")
AT_FIRST = 12
A_START = 12
LONGEST_PAUSE = 2.0


@dataclass
class Arriving:
    """Adds files to a landing zone, each whole at once; some are malformed."""

    zone: Path
    most: int = AT_FIRST
    fed: dict[str, tuple[str, set[str]]] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self):
        self._rng = random.Random(SEED)
        bad = list(malformed(SEED, 3 * KILLS))
        self._rng.shuffle(bad)
        self._bad = iter(bad)

    def add(self) -> None:
        name, content, outcomes = self._next()
        target = self.zone / name
        target.parent.mkdir(exist_ok=True)
        hidden = target.with_name(f".{len(self.fed)}")
        hidden.write_bytes(content)
        hidden.rename(target)
        self.fed[f"file:{target}"] = (hashlib.sha256(content).hexdigest(), outcomes)

    def keep_adding(self) -> None:
        """As a thread; up to ``most`` files, so that a slow machine is not left behind."""
        while not self.over.wait(self._rng.uniform(0, LONGEST_PAUSE)):
            if len(self.fed) < self.most:
                self.add()

    def _next(self) -> tuple[str, bytes, set[str]]:
        if self._rng.random() < 0.4 and (bad := next(self._bad, None)):
            return bad.name, bad.content, bad.outcomes
        seed = self._rng.randrange(500)  # so that some bytes come twice
        return file_name(device=f"good-{len(self.fed)}"), jpeg(seed), {IMAGE}


@pytest.fixture
def place(tmp_path, empty_store) -> Place:
    store = tmp_path / "mlflow.db"
    store.write_bytes(empty_store.read_bytes())
    return make_place(tmp_path, f"sqlite:///{store}")


@pytest.fixture
def arriving(place) -> Iterator[Arriving]:
    arriving = Arriving(place.zone)
    for _ in range(AT_FIRST):
        arriving.add()
    yield arriving
    arriving.over.set()


def _progress(place: Place) -> dict[str, int]:
    """How far the lake is, by what only ever grows."""
    found = {
        "chunks": "_ingest/*/arrivals/[0-9]*",
        "images": "images/_delta_log/*.json",
        "quarantine": "quarantine/_delta_log/*.json",
    }
    counts = {key: len(list(place.lake.glob(pattern))) for key, pattern in found.items()}
    return counts | {"done": sum(int(n.read_text()) for n in place.lake.glob("_ingest/*/done"))}


def _leases(place: Place) -> set[bytes]:
    with suppress(FileNotFoundError):  # its holder has just ended
        return {lease.read_bytes() for lease in place.lake.glob("_ingest/*/lease.json")}
    return set()


def _moments(place: Place) -> dict[str, Callable[[], bool]]:
    """What to wait for before a kill: that the ingest has come to a stage."""
    before, left = _progress(place), _leases(place)

    def grown(key: str, by: int = 1) -> Callable[[], bool]:
        return lambda: _progress(place)[key] >= before[key] + by

    def all_appended() -> bool:
        chunks = [chunk.name for chunk in place.lake.glob("_ingest/*/arrivals/[0-9]*")]
        logs = [log.read_text() for log in place.lake.glob("images/_delta_log/*.json")]
        new = len(chunks) > before["chunks"]
        return new and all(any(chunk in log for log in logs) for chunk in chunks)

    return {
        "lease taken": lambda: bool(_leases(place) - left),
        "arrivals noted": grown("chunks"),
        "images appended": grown("images"),
        "images appended again": grown("images", 3),
        "quarantine appended": grown("quarantine"),
        "two batches done": grown("done", 2),
        "all appended": all_appended,
    }


def _tables(lake, place: Place) -> dict[str, pd.DataFrame]:
    columns = {"images": ["duplicate_of"], "quarantine": ["reason"]}
    return {
        name: lake.spark.read.format("delta")
        .load(str(place.lake / name))
        .select("path", "sha256", "replaced_at", *more)
        .toPandas()
        for name, more in columns.items()
    }


def _check_each_is_in_one_table_once(tables: dict[str, pd.DataFrame], arriving: Arriving) -> None:
    images, quarantine = tables["images"], tables["quarantine"]
    rows = pd.concat([images.assign(reason=IMAGE), quarantine])
    assert Counter(rows["path"]) == Counter(list(arriving.fed))
    for row in rows.itertuples():
        sha256, outcomes = arriving.fed[row.path]
        assert row.sha256 == sha256 and row.reason in outcomes, row
    assert rows["replaced_at"].isna().all()
    assert images["duplicate_of"].isna().sum() == images["sha256"].nunique()


def test_each_file_is_ingested_once_although_ingests_are_killed(lake, place, arriving):
    rng = random.Random(SEED)
    thread = threading.Thread(target=arriving.keep_adding, daemon=True)
    thread.start()
    kills: Counter[str] = Counter()
    for start in range(2 * KILLS):  # a stage that never comes is waited for until the end
        moments = _moments(place)
        arriving.most += A_START
        # in turn, so that each is met; at a random time after it
        name = list(moments)[kills.total() % len(moments)]
        ingest = place.start("killed.txt", *SMALL_BATCHES)
        try:
            if wait_until(moments[name], ingest):
                arriving.over.wait(rng.uniform(0, 1.5))
        finally:
            ended = ingest.poll()
            processes = kill(ingest)
        assert ended in (None, 0), place.said("killed.txt")
        print(f"{start}: {name}: {processes} processes killed at {_progress(place)}", flush=True)
        kills[name] += ended is None
        if kills.total() == KILLS:
            break
    arriving.over.set()
    thread.join()
    assert kills.total() == KILLS

    last = place.start("last.txt", *SMALL_BATCHES)
    assert last.wait() == 0, place.said("last.txt")
    print(f"{len(arriving.fed)} files, {kills}, at last {_progress(place)}")
    _check_each_is_in_one_table_once(_tables(lake, place), arriving)


def test_of_two_ingests_at_once_the_second_waits_for_its_turn(lake, place, arriving):
    started = [place.start("first.txt", *SMALL_BATCHES)]
    try:
        assert wait_until(lambda: bool(_leases(place)), started[0])
        started.append(place.start("second.txt", *SMALL_BATCHES))
        for name, ingest in zip(("first.txt", "second.txt"), started, strict=True):
            assert ingest.wait() == 0, place.said(name)
    finally:
        for ingest in started:
            kill(ingest)
    _check_each_is_in_one_table_once(_tables(lake, place), arriving)
