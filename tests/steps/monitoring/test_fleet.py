from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.made_lake import made_profile, write_table
from steps.ingestion.tables import DEVICES
from steps.monitoring.fleet import STATUS, UNKNOWN_RHYTHM, longest_silence, read_fleet
from steps.monitoring.frames import HOUR

NOW = datetime(2026, 8, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "silence"),
    [
        ([], UNKNOWN_RHYTHM),
        ([0, 1], UNKNOWN_RHYTHM),
        ([0, 1, 3], 5 * HOUR),
        ([0, 0.001, 0.002], UNKNOWN_RHYTHM),  # rows of one ingest
    ],
)
def test_a_device_is_silent_after_twice_its_longest_pause(hours, silence):
    assert longest_silence(np.array(hours) * HOUR) == silence


def test_only_devices_that_run_the_model_or_none_are_of_the_fleet(tmp_path):
    profile = made_profile(tmp_path)
    models = {"a": "porch-onnx", "b": "porch", "c": "gate-onnx", "d": None}
    rows = [
        {"device_id": name, "reported_at": NOW, "healthy": True, "model": model}
        for name, model in models.items()
    ]
    write_table(DEVICES, profile, rows, STATUS)
    empty = SimpleNamespace(devices=([], np.empty(0, int)), times=np.empty(0, np.int64))
    fleet = read_fleet(profile, "porch", empty, np.empty(0, np.int64), NOW)
    assert [device.name for device in fleet] == ["a", "b", "d"]
