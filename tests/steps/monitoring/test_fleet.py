import numpy as np
import pytest

from steps.monitoring.fleet import UNKNOWN_RHYTHM, longest_silence
from steps.monitoring.frames import HOUR


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
