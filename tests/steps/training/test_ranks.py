"""The settings of Horovod's own processes before they train together."""

import os
import socket

import pytest

from steps.environment import ranks_inherit
from steps.settings.profile import PROJECT
from steps.training.ranks import PAUSE_PER_IMAGE, _is_reached_by_name


def _settings(batch_size: int, threads: int) -> tuple[int, dict[str, str], set[int]]:
    from steps.training.plan import Plan
    from steps.training.ranks import Horovod

    ranks = Horovod(Plan(batch_size=batch_size, threads=threads))
    settings = {name: value for name, value in os.environ.items() if name.startswith("HOROVOD_")}
    return ranks.size, settings, os.sched_getaffinity(0)


@pytest.fixture
def start(monkeypatch):
    """Starts two ranks and returns the settings of each."""
    import horovod

    monkeypatch.setenv("PYTHONPATH", str(PROJECT / "tests" / "steps" / "training"), prepend=":")

    def run(*arguments):
        with ranks_inherit():
            return horovod.run(_settings, arguments, num_proc=2, use_gloo=True)

    return run


@pytest.mark.parametrize(
    ("name", "expected"), [("192.0.2.1", True), ("127.0.1.1", False), ("name.invalid", False)]
)
def test_a_machine_is_reached_where_its_name_leads(monkeypatch, name, expected):
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    assert _is_reached_by_name() == expected


@pytest.mark.slow
def test_ranks_pause_between_polls_and_cache_exchanges(start):
    for size, settings, _ in start(80, 1):
        assert size == 2
        assert float(settings["HOROVOD_CYCLE_TIME"]) == PAUSE_PER_IMAGE * 40
        assert not [value for value in settings.values() if "None" in value]


@pytest.mark.slow
def test_ranks_that_fill_the_machine_keep_to_their_own_cores(start):
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("two ranks cannot share the one core of this machine")
    (_, _, first), (_, _, second) = start(16, len(cores) // 2)
    if len(cores) % 2:
        assert first == second == cores
    else:
        assert first.isdisjoint(second) and first | second == cores
    (_, _, first), (_, _, second) = start(16, len(cores))
    assert first == second == cores
