"""Which frames are kept, and why: no more of them than is asked for, however often one looks."""

import random

from edge.agent.settings import CaptureSettings, ScoreSettings
from edge.outbox.reason import Reason
from edge.outbox.result import Result

PAUSE_SECONDS = 1.0
"""Between two kept images, since their names count seconds."""


class Allowance:
    """So many an hour, evenly: what is not used adds up to no more than an eighth of it.

    Args:
        per_hour: how many.
    """

    def __init__(self, per_hour: float):
        self._per_second, self._most = per_hour / 3600, max(per_hour / 8, 1.0)
        self._left, self._at = 1.0 if per_hour else 0.0, None

    def take(self, uptime: float) -> bool:
        """Take one, if there is one left."""
        if self._at is not None:
            grown = self._left + (uptime - self._at) * self._per_second
            self._left = min(grown, self._most)
        self._at = uptime
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Selection:
    """Decides about each frame.

    Args:
        capture: what is kept whatever the model says.
        score: what is kept for what it says.
    """

    def __init__(self, capture: CaptureSettings, score: ScoreSettings):
        self._capture, self._score = capture, score
        self._uncertain = Allowance(score.uncertain_per_hour)
        self._draw = random.Random(score.seed)
        self._kept_at = self._moved_at = float("-inf")
        self._period_due: float | None = None
        self._demanded = False

    def demand(self) -> None:
        """Keep the next frame."""
        self._demanded = True

    def reason(self, uptime: float, moves: bool, result: Result | None) -> Reason | None:
        """Why this frame is to be kept; None where it is not.

        Args:
            uptime: seconds, never going back.
            moves: whether motion was seen.
            result: what the model said of it, where there is a model.
        """
        if uptime - self._kept_at < PAUSE_SECONDS:
            return None
        drawn = result is not None and self._draw.random() < self._control_chance()
        reason = self._of(uptime, moves, result, drawn)
        if reason is not None:
            self._kept_at = uptime
        return reason

    def _of(self, uptime: float, moves: bool, result: Result | None, drawn: bool) -> Reason | None:
        if self._demanded:
            self._demanded = False
            return Reason.MANUAL_TRIGGER
        pause = self._capture.motion_pause_seconds
        if self._capture.motion and moves and uptime - self._moved_at >= pause:
            self._moved_at = uptime
            return Reason.MOTION
        unsure = result is not None and result.margin < self._score.margin
        if unsure and self._uncertain.take(uptime):
            return Reason.UNCERTAIN
        if drawn:
            return Reason.CONTROL
        return Reason.PERIOD if self._period_is_over(uptime) else None

    def _period_is_over(self, uptime: float) -> bool:
        period = self._capture.period_seconds
        if not period or (self._period_due is not None and uptime < self._period_due):
            return False
        # on the beat, unless one or more beats were missed
        on_the_beat = (uptime if self._period_due is None else self._period_due) + period
        self._period_due = on_the_beat if on_the_beat > uptime else uptime + period
        return True

    def _control_chance(self) -> float:
        return self._score.control_per_day * self._score.period_seconds / 86_400
