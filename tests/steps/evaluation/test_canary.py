"""What becomes of a stage of a rollout, by what its devices report."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge.protocol.rollout import Rollout, failed_here, place_of
from steps.evaluation.canary import FALSE_ALARM, HOUR, Action, DeviceReport, Stage, decide

SINCE = datetime(2026, 7, 1, 12, tzinfo=UTC)
NOW = SINCE + timedelta(hours=3)
STAGE = Stage("package-onnx", 8, Rollout("2", 0.5, SINCE.isoformat()))
NAMES = [f"pi-{number}" for number in range(100)]
INSIDE = [name for name in NAMES if place_of(name, "package-onnx") < 0.5][:20]
OUTSIDE = [name for name in NAMES if place_of(name, "package-onnx") >= 0.5][:20]
MIXED = {"0": 70, "1": 30}

RUNS = DeviceReport("", 8, False, None, NOW, canary=MIXED)
FAILED = DeviceReport("", 7, False, failed_here(8, "it crashes"), NOW)
WAITS = DeviceReport("", 7, False, None, NOW, champion=MIXED)
SILENT = replace(WAITS, reported_at=SINCE - timedelta(minutes=5))
DIED = replace(WAITS, reported_at=SINCE + timedelta(minutes=5))
GONE = replace(WAITS, reported_at=SINCE - timedelta(days=9))
A_DAY_LATER = replace(WAITS, reported_at=NOW + timedelta(days=1))


def reports(inside: list[DeviceReport], outside: DeviceReport = WAITS) -> list[DeviceReport]:
    """The first devices inside have these reports, the others there run the release."""
    rest = [RUNS] * (len(INSIDE) - len(inside))
    found = [replace(r, device=n) for r, n in zip(inside + rest, INSIDE, strict=True)]
    return found + [replace(outside, device=name) for name in OUTSIDE]


@pytest.mark.parametrize(
    ("inside", "outside", "action", "reason"),
    [
        ([], WAITS, Action.WIDEN, "20 of 20 devices run it, 0 failed"),
        ([FAILED], WAITS, Action.WIDEN, "19 of 20 devices run it, 1 failed"),
        ([FAILED] * 3, WAITS, Action.TAKE_BACK, "release 8 failed here: it crashes"),
        ([WAITS] * 4, WAITS, Action.WIDEN, "16 of 20 "),
        ([WAITS] * 5, WAITS, Action.WAIT, "15 of 20 "),
        ([replace(RUNS, on_probation=True)] * 5, WAITS, Action.WAIT, "15 of 20 "),
        ([replace(RUNS, reported_at=SINCE)] * 5, WAITS, Action.WAIT, "15 of 20 "),
        ([WAITS] * 20, WAITS, Action.WAIT, "0 of 20 devices run it, 0 failed"),
        ([replace(RUNS, canary={"0": 3})] * 20, WAITS, Action.WAIT, "with 60 answers"),
        ([FAILED] + [WAITS] * 19, WAITS, Action.WAIT, "0 of 20 devices run it, 1 failed"),
        ([SILENT] * 4, WAITS, Action.WIDEN, "16 of 20"),
        ([SILENT] * 4, A_DAY_LATER, Action.TAKE_BACK, "4 failed: no report"),
        ([DIED] * 4, A_DAY_LATER, Action.TAKE_BACK, "4 failed: no report"),
        ([SILENT] * 20, SILENT, Action.WAIT, "0 of 20 devices run it, 0 failed"),  # no ingest
        ([GONE] * 8, A_DAY_LATER, Action.WIDEN, "12 of 12"),
        ([GONE] * 20, WAITS, Action.WIDEN, "none of 20 devices lies below 0.5"),
        ([GONE] * 20, GONE, Action.WAIT, "no device has reported"),
        (
            [replace(RUNS, canary={"unsure": 100})] * 20,
            *(WAITS, Action.TAKE_BACK, "0 is 0% of its answers, 70% before"),
        ),
        (
            [replace(RUNS, canary={"0": 60, "1": 25, "unsure": 15})] * 20,
            *(WAITS, Action.TAKE_BACK, "unsure is 15% of its answers, 0% before"),
        ),
        ([replace(RUNS, canary={"0": 65, "1": 35})] * 20, WAITS, Action.WIDEN, "20 of 20"),
        ([replace(RUNS, canary={"1": 100})] * 20, SILENT, Action.TAKE_BACK, "0 is 0% of"),
        (
            [replace(RUNS, canary={"1": 100})] * 20,  # with nothing to compare with
            *(replace(WAITS, champion={"0": 3}), Action.WIDEN, "20 of 20"),
        ),
    ],
)
def test_a_stage_goes_on_waits_or_is_taken_back(inside, outside, action, reason):
    decision = decide(STAGE, reports(inside, outside))
    assert decision.action is action and reason in decision.reason


def test_a_stage_without_devices_is_passed():
    few = [one for one in reports([]) if one.device not in INSIDE]
    decision = decide(STAGE, few)
    assert decision == (Action.WIDEN, "none of 20 devices lies below 0.5")


def test_a_fleet_that_never_reported_is_no_evidence():
    assert decide(STAGE, []) == (Action.WAIT, "no device has reported")


@pytest.mark.parametrize(
    ("inside", "outside", "action"),
    [
        # one device in 21 sees only this label, or two in 50: both get the canary 1 in 122 times
        ([100], [0] * 20, Action.WIDEN),
        ([100, 100, 0, 0, 0], [0] * 45, Action.WIDEN),
        ([100] * 3, [0] * 10, Action.WIDEN),
        ([100] * 4, [0] * 20, Action.TAKE_BACK),
        ([100, 0, 100], [0] * 20, Action.WIDEN),
        ([40, 60, 30, 70, 50, 45, 55, 65], [0, 10, 20, 5, 15, 12, 18, 8], Action.TAKE_BACK),
    ],
)
def test_devices_that_see_different_things_are_no_difference_of_releases(inside, outside, action):
    assert decide(STAGE, seen(inside, outside)).action is action


def test_a_difference_by_chance_is_as_rare_over_all_hours_of_a_stage_as_at_one_look():
    hours = [STAGE.false_alarm(SINCE + n * HOUR) for n in range(1000)]
    assert FALSE_ALARM / 2 < sum(hours) < FALSE_ALARM and not any(hours[169:]) and hours[168]
    assert hours[0] == STAGE.false_alarm(SINCE - HOUR) == 0
    # all looks of an hour have its part, as they read the same answers
    assert STAGE.false_alarm(SINCE + 1.98 * HOUR) == hours[1]
    # one draw of 1771 is as unlike as this one
    reports = [replace(one, reported_at=SINCE + HOUR) for one in seen([100] * 3, [0] * 20)]
    assert decide(STAGE, reports).action is Action.TAKE_BACK
    assert decide(STAGE, seen([100] * 3, [0] * 20)).action is Action.WIDEN
    # after a week, what is impossible by chance is still seen as such
    late = [replace(one, reported_at=SINCE + 168 * HOUR) for one in seen([100] * 20, [0] * 20)]
    assert decide(STAGE, late).action is Action.TAKE_BACK
    later = [replace(one, reported_at=SINCE + 169 * HOUR) for one in late]
    assert decide(STAGE, later).reason.endswith("(after a week, answers are no longer compared)")


@pytest.mark.parametrize(
    ("inside", "outside", "is_shown"),
    [(2, 32, True), (2, 31, False), (3, 13, True), (3, 12, False), (5, 7, True), (7, 5, True)]
    + [(count, 12 - count, False) for count in (1, 2, 3, 4, 6, 8)]
    + [(count, 11 - count, False) for count in range(1, 11)],
)
def test_few_devices_show_a_difference_in_the_first_hour_if_few_choices_would(
    inside, outside, is_shown
):
    found = seen([100] * inside, [0] * outside)
    decision = decide(STAGE, [replace(one, reported_at=SINCE + HOUR) for one in found])
    assert (decision.action is Action.TAKE_BACK) is is_shown


def seen(inside: Sequence[int], outside: Sequence[int]) -> list[DeviceReport]:
    """Devices answer "1" in so many of a hundred images."""
    free = {True: iter(NAMES), False: iter(NAMES)}

    def name(is_inside: bool) -> str:
        places = free[is_inside]
        return next(n for n in places if (place_of(n, "package-onnx") < 0.5) is is_inside)

    canary = [replace(RUNS, device=name(True), canary=answers(ones)) for ones in inside]
    return canary + [replace(WAITS, device=name(False), champion=answers(ones)) for ones in outside]


def answers(ones: int) -> dict[str, int]:
    return {"0": 100 - ones, "1": ones}
