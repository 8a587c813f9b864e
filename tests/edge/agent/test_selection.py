import pytest

from edge.agent.selection import Allowance, Selection
from edge.agent.settings import CaptureSettings, ScoreSettings
from edge.outbox.reason import Reason
from edge.outbox.result import Result

DAY = 86_400


def result(first: float) -> Result:
    return Result("m", "4", "0", first, {"0": first, "1": 1 - first})


def kept(capture: CaptureSettings, score: ScoreSettings, first=0.99, moves=False, seconds=3600):
    selection = Selection(capture, score)
    reasons = [selection.reason(at, moves, result(first)) for at in range(seconds)]
    return {reason: reasons.count(reason) for reason in reasons if reason}


NEVER = CaptureSettings(period_seconds=0)
NONE = ScoreSettings(uncertain_per_hour=0, control_per_day=0)


def test_one_frame_per_period_is_kept_in_a_fixed_rhythm():
    selection = Selection(CaptureSettings(period_seconds=60), NONE)
    times = [at for at in range(300) if selection.reason(at, False, None)]
    assert times == [0, 60, 120, 180, 240]
    assert [at for at in (400, 401, 460) if selection.reason(at, False, None)] == [400, 460]


def test_without_a_reason_no_frame_is_kept():
    assert kept(NEVER, NONE) == {}


def test_uncertain_frames_are_kept_up_to_the_limit():
    score = ScoreSettings(margin=0.2, uncertain_per_hour=12, control_per_day=0)
    found = kept(NEVER, score, first=0.55, seconds=DAY)
    assert found[Reason.UNCERTAIN] == pytest.approx(12 * 24, abs=2)
    assert kept(NEVER, score, first=0.7) == {}


def test_a_control_sample_is_drawn_by_the_seed():
    def draw(seed):
        score = ScoreSettings(uncertain_per_hour=0, control_per_day=100, seed=seed)
        selection = Selection(NEVER, score)
        return [at for at in range(DAY) if selection.reason(at, False, result(0.99))]

    drawn = draw(1)
    assert drawn == draw(1) and drawn != draw(2)
    assert 70 < len(drawn) < 130


def test_motion_is_kept_with_a_pause():
    capture = CaptureSettings(period_seconds=0, motion=True, motion_pause_seconds=10)
    assert kept(capture, NONE, moves=True, seconds=100) == {Reason.MOTION: 10}
    assert kept(NEVER, NONE, moves=True) == {}


def test_a_manual_trigger_works_once_and_comes_first():
    selection = Selection(CaptureSettings(period_seconds=60), NONE)
    selection.trigger()
    assert selection.reason(0.0, True, result(0.5)) == Reason.MANUAL_TRIGGER
    assert selection.reason(0.5, True, result(0.5)) is None
    assert selection.reason(1.0, True, result(0.5)) == Reason.PERIOD


def test_an_unused_allowance_does_not_accumulate_without_limit():
    allowance = Allowance(per_hour=16)
    assert allowance.take(0.0) and not allowance.take(1.0)
    assert sum(allowance.take(10 * DAY) for _ in range(10)) == 2
    assert not any(Allowance(per_hour=0).take(at) for at in range(0, DAY, 600))
