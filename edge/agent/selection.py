"""Which frames are kept, and why; the limits hold at any frame rate."""

import random

from edge.agent.settings import CaptureSettings, ScoreSettings
from edge.outbox.reason import Reason
from edge.outbox.result import Result

PAUSE_SECONDS = 1.0
"""Between two kept images, since their names count seconds."""


class Allowance:
    """How many frames to keep: a rate whose unused part adds up, to an eighth of an hour's count.

    Args:
        per_hour: the rate.
    """

    def __init__(self, per_hour: float):
        self._per_second, self._max_left = per_hour / 3600, max(per_hour / 8, 1.0)
        self._left = 1.0 if per_hour else 0.0
        self._updated_at: float | None = None

    def take(self, uptime: float) -> bool:
        """Take one if one is left; return whether it was."""
        if self._updated_at is not None:
            grown = self._left + (uptime - self._updated_at) * self._per_second
            self._left = min(grown, self._max_left)
        self._updated_at = uptime
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Selection:
    """Decides about each frame whether it is kept.

    Args:
        capture: what is kept independent of the model.
        score: what is kept for its result.
    """

    def __init__(self, capture: CaptureSettings, score: ScoreSettings):
        self._capture, self._score = capture, score
        self._uncertain = Allowance(score.uncertain_per_hour)
        self._control_chance = score.control_per_day * score.period_seconds / 86_400
        self._random = random.Random(score.seed)  # noqa: S311 - a sample, not a secret
        self._kept_at = self._moved_at = float("-inf")
        self._period_due: float | None = None
        self._is_triggered = False

    def trigger(self) -> None:
        """Keep the next frame."""
        self._is_triggered = True

    def reason(self, uptime: float, has_motion: bool, result: Result | None) -> Reason | None:
        """Return why this frame is kept, or None if it is not.

        Args:
            uptime: seconds, never decreasing.
            has_motion: whether the frame shows motion.
            result: of the model, if there is one.
        """
        if uptime - self._kept_at < PAUSE_SECONDS:
            return None
        is_drawn = result is not None and self._random.random() < self._control_chance
        reason = self._find_reason(uptime, has_motion, result, is_drawn)
        if reason is not None:
            self._kept_at = uptime
        return reason

    def _find_reason(
        self, uptime: float, has_motion: bool, result: Result | None, is_drawn: bool
    ) -> Reason | None:
        if self._is_triggered:
            self._is_triggered = False
            return Reason.MANUAL_TRIGGER
        pause = self._capture.motion_pause_seconds
        if self._capture.motion and has_motion and uptime - self._moved_at >= pause:
            self._moved_at = uptime
            return Reason.MOTION
        is_uncertain = result is not None and result.margin < self._score.margin
        if is_uncertain and self._uncertain.take(uptime):
            return Reason.UNCERTAIN
        if is_drawn:
            return Reason.CONTROL
        return Reason.PERIOD if self._is_period_over(uptime) else None

    def _is_period_over(self, uptime: float) -> bool:
        period = self._capture.period_seconds
        if not period or (self._period_due is not None and uptime < self._period_due):
            return False
        # in a fixed rhythm, unless one or more periods were missed
        next_due = (uptime if self._period_due is None else self._period_due) + period
        self._period_due = next_due if next_due > uptime else uptime + period
        return True
