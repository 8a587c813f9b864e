"""The simulation of ledger and lease: it finds nothing, and finds what is broken on purpose."""

import os
import uuid

import pytest

from benchmarks.ingest_simulation import simulate
from steps.landing import arrivals
from steps.landing.arrivals import Arrivals

SCHEDULES = int(os.environ.get("SCHEDULES", "60"))


def test_each_file_is_in_the_table_once_whatever_fails():
    result = simulate(SCHEDULES)
    assert result == {"schedules": SCHEDULES, "lost": 0, "doubled": 0, "seeds": []}


def _under_a_name_of_its_own(place: str, content: bytes) -> bool:
    folder, _, name = place.rpartition("/")
    place = place if name.startswith("_") else f"{folder}/{name[:8]}-{uuid.uuid4().hex}.json"
    arrivals.write_atomically(place, content)
    return True


def _as_it_is_listed(self: Arrivals) -> None:
    arrivals.write_atomically(self._done, str(len(self._chunk_names())).encode())


@pytest.mark.parametrize(
    ("owner", "name", "broken", "seed", "found"),
    [
        (arrivals, "create_atomically", _under_a_name_of_its_own, 15, "doubled"),
        (Arrivals, "mark_done", _as_it_is_listed, 149, "lost"),
    ],
)
def test_what_is_broken_on_purpose_is_found(monkeypatch, owner, name, broken, seed, found):
    monkeypatch.setattr(owner, name, broken)
    assert simulate(1, first=seed)[found] > 0
