"""What becomes of a stage of a rollout, by what its devices report."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge.protocol.rollout import failed_here, place_of
from steps.evaluation.canary import Action, DeviceReport, Stage, decide

SINCE = datetime(2026, 7, 1, 12, tzinfo=UTC)
NOW = SINCE + timedelta(hours=2)
STAGE = Stage("package-onnx", 8, 0.5, SINCE)
NAMES = [f"pi-{number}" for number in range(100)]
INSIDE = [name for name in NAMES if place_of(name, "package-onnx") < 0.5][:20]
OUTSIDE = [name for name in NAMES if place_of(name, "package-onnx") >= 0.5][:20]
MIXED = {"0": 70, "1": 30}

RUNS = DeviceReport("", 8, False, None, NOW, canary=MIXED)
FAILED = DeviceReport("", 7, False, failed_here(8, "it crashes"), NOW)
WAITS = DeviceReport("", 7, False, None, NOW, champion=MIXED)
SILENT = replace(WAITS, reported_at=SINCE - timedelta(minutes=5))


def reports(inside: list[DeviceReport], outside: DeviceReport = WAITS) -> list[DeviceReport]:
    """The first devices inside have these reports, the others there run the release."""
    rest = [RUNS] * (len(INSIDE) - len(inside))
    found = [replace(r, device=n) for r, n in zip(inside + rest, INSIDE, strict=True)]
    return found + [replace(outside, device=name) for name in OUTSIDE]


@pytest.mark.parametrize(
    ("inside", "outside", "now", "action", "reason"),
    [
        ([], WAITS, NOW, Action.WIDEN, "20 of 20 devices run it, 0 failed"),
        ([FAILED], WAITS, NOW, Action.WIDEN, "19 of 20 devices run it, 1 failed"),
        ([FAILED] * 3, WAITS, NOW, Action.TAKE_BACK, "release 8 failed here: it crashes"),
        ([WAITS] * 4, WAITS, NOW, Action.WIDEN, "16 of 20 "),
        ([WAITS] * 5, WAITS, NOW, Action.WAIT, "15 of 20 "),
        ([replace(RUNS, on_probation=True)] * 5, WAITS, NOW, Action.WAIT, "15 of 20 "),
        ([replace(RUNS, reported_at=SINCE)] * 5, WAITS, NOW, Action.WAIT, "15 of 20 "),
        ([WAITS] * 20, WAITS, NOW, Action.WAIT, "0 of 20 devices run it, 0 failed"),
        ([replace(RUNS, canary={"0": 3})] * 20, WAITS, NOW, Action.WAIT, "with 60 answers"),
        ([SILENT] * 4, WAITS, NOW, Action.WIDEN, "16 of 20"),
        ([SILENT] * 4, WAITS, NOW + timedelta(days=1), Action.TAKE_BACK, "4 failed: no report"),
        (
            [replace(SILENT, reported_at=SINCE - timedelta(days=9))] * 4,  # it was away before
            *(WAITS, NOW + timedelta(days=1), Action.WIDEN, "16 of 20"),
        ),
        (
            [replace(RUNS, canary={"unsure": 100})] * 20,
            *(WAITS, NOW, Action.TAKE_BACK, "0 is 0% of its answers, 70% before"),
        ),
        (
            [replace(RUNS, canary={"0": 60, "1": 25, "unsure": 15})] * 20,
            *(WAITS, NOW, Action.TAKE_BACK, "unsure is 15% of its answers, 0% before"),
        ),
        ([replace(RUNS, canary={"0": 65, "1": 35})] * 20, WAITS, NOW, Action.WIDEN, "20 of 20"),
        ([replace(RUNS, canary={"1": 100})] * 20, SILENT, NOW, Action.TAKE_BACK, "0 is 0% of"),
        (
            [replace(RUNS, canary={"1": 100})] * 20,  # with nothing to compare with
            *(replace(WAITS, champion={"0": 3}), NOW, Action.WIDEN, "20 of 20"),
        ),
    ],
)
def test_a_stage_goes_on_waits_or_is_taken_back(inside, outside, now, action, reason):
    decision = decide(STAGE, reports(inside, outside), now)
    assert decision.action is action and reason in decision.reason


def test_a_stage_without_devices_is_passed():
    few = [one for one in reports([]) if one.device not in INSIDE]
    decision = decide(STAGE, few, NOW)
    assert decision == (Action.WIDEN, "none of 20 devices lies below 0.5")


def test_a_fleet_that_never_reported_is_no_evidence():
    assert decide(STAGE, [], NOW) == (Action.WAIT, "no device has reported")
