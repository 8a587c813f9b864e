"""Alarms that began together are one cause, named by what explains the others."""

import pytest

from steps.monitoring.detector import Alarm
from steps.monitoring.findings import grouped
from steps.monitoring.frames import HOUR


@pytest.mark.parametrize(
    ("alarms", "names"),
    [
        ([("scene", 0, 10), ("moved", 2, 12)], [["moved", "scene"]]),
        ([("object", 0, 10), ("moved", 2, 40)], [["object", "moved"]]),  # too late to explain it
        ([("moved", 0, 10), ("blurred", 30, 40)], [["moved"], ["blurred"]]),
        ([("exposure", 0, 10), ("clock", 0, 10)], [["clock", "exposure"]]),
    ],
)
def test_alarms_are_grouped(alarms, names):
    made = [Alarm(test, began * HOUR, noticed * HOUR) for test, began, noticed in alarms]
    assert [[alarm.test for alarm in group] for group in grouped(made)] == names
