"""Alarms that began together are one cause, named by what explains the others."""

from dataclasses import replace

import pytest

from steps.monitoring.changes import Changes
from steps.monitoring.detector import Alarm
from steps.monitoring.findings import Findings, as_outputs, grouped, lasting_causes, summarize
from steps.monitoring.fleet import Device
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


def test_a_cause_is_what_lasts_and_each_silence():
    alarms = [Alarm("moved", 0, 9 * HOUR), Alarm("scene", 0, 9 * HOUR)]
    over = Alarm("blurred", 90 * HOUR, 99 * HOUR, ended=120 * HOUR)
    porch = Findings(Device("a", None, 0, False, False, None), changes=Changes([*alarms, over], 40))
    gate = Findings(Device("gate", None, 5 * HOUR, True, False, None))
    said = as_outputs(porch)
    assert [alarm.cause for alarm in said] == ["a/1", "a/1", "a/2"]
    causes = lasting_causes([porch, gate], said)
    assert causes == ["a/1", "gate/silent/1970-01-01T05:00+00:00"]
    nameless = Findings(replace(gate.device, name=""), changes=Changes(alarms[:1], 40))
    assert summarize([nameless], 7, None).startswith("(no device in the name): the camera was")
    (alarm,) = as_outputs(nameless)
    assert alarm.cause == "(no device in the name)/1"
    line = summarize([porch, gate], 7, None)
    assert line.startswith("a: the camera was moved, since 1970-01-01 00:00; gate: nothing came")
