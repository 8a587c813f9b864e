"""What Horovod's own processes are told before they train together."""

import os

import pytest

from steps.settings.profile import PROJECT
from steps.training.ranks import PAUSE_MS

pytestmark = pytest.mark.slow


def _told() -> tuple[int, dict[str, str]]:
    from steps.training.ranks import Horovod

    ranks = Horovod()
    return ranks.size, {k: v for k, v in os.environ.items() if k.startswith("HOROVOD_")}


def test_ranks_pause_between_exchanges_and_remember_them(monkeypatch):
    import horovod

    monkeypatch.setenv("PYTHONPATH", str(PROJECT / "tests" / "steps" / "training"), prepend=":")
    for size, told in horovod.run(_told, num_proc=2, use_gloo=True):
        assert size == 2
        assert told["HOROVOD_CYCLE_TIME"] == str(PAUSE_MS)
        assert not [value for value in told.values() if "None" in value]
