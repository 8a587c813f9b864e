"""From the answers for single frames to the state of the camera."""

from collections import Counter, deque
from dataclasses import dataclass, field

from edge.files.settings_file import number_within


@dataclass(frozen=True)
class LabelStateSettings:
    """``[state.labels.<label>]``: what a label needs instead of ``[state]``'s values.

    Attributes:
        votes: how many frames of the window must have it; 0: as many as of any label.
        dwell_seconds: how long it stays the state at least; None: as long as any.
    """

    votes: int = number_within(0, 0, 1000)
    dwell_seconds: float | None = number_within(None, 0, 86_400)


@dataclass(frozen=True)
class StateSettings:
    """``[state]``: when the answers for single frames change the state of the camera.

    Attributes:
        window: how many of the last frames count.
        votes: how many of them must have the same label.
        dwell_seconds: how long a state stays at least.
        forget_seconds: answers before a longer pause do not count.
        labels: other values for single labels, and for ``unsure``.
    """

    window: int = number_within(5, 1, 1000)
    votes: int = number_within(4, 1, 1000)
    dwell_seconds: float = number_within(3.0, 0, 86_400)
    forget_seconds: float = number_within(60.0, 1, 86_400)
    labels: dict[str, LabelStateSettings] = field(default_factory=dict)

    def votes_of(self, state: str) -> int:
        """Return how many frames of the window a state needs."""
        return self._of(state).votes or self.votes

    def dwell_of(self, state: str) -> float:
        """Return for how many seconds a state stays at least."""
        own = self._of(state).dwell_seconds
        return self.dwell_seconds if own is None else own

    def error(self) -> str | None:
        """Return what is wrong with these values, or None.

        Two labels must never have enough votes at once: the state would change with each frame.
        """
        # two labels without a table of their own are possible too
        votes = sorted([self.votes, self.votes, *map(self.votes_of, self.labels)])
        if votes[-1] > self.window:
            return f"votes must not be more than window, which is {self.window}"
        if sum(votes[:2]) <= self.window:
            return f"the votes of any two labels must add up to more than {self.window}, the window"
        return None

    def _of(self, state: str) -> LabelStateSettings:
        return self.labels.get(state, LabelStateSettings())


class Smoothing:
    """N-of-M smoothing with a least dwell time.

    Args:
        settings: whose :meth:`StateSettings.error` is None.
        state: to begin with, such as the one before a restart; None if there was none.

    Attributes:
        state: a label, ``unsure``, or None before enough frames agree.
    """

    def __init__(self, settings: StateSettings, state: str | None = None):
        self._settings, self.state = settings, state
        self._votes: deque[str] = deque(maxlen=settings.window)
        self._since = self._voted_at = float("-inf")

    def update(self, answer: str, uptime: float) -> bool:
        """Count the answer for a frame; return whether the state has changed.

        Args:
            answer: a label, or ``unsure``.
            uptime: when the frame was taken, in seconds that never decrease.
        """
        if uptime - self._voted_at > self._settings.forget_seconds:
            self._votes.clear()
        self._voted_at = uptime
        self._votes.append(answer)
        # at most one state has enough votes: see StateSettings.error
        agreed = [s for s, n in Counter(self._votes).items() if n >= self._settings.votes_of(s)]
        if not agreed or agreed[0] == self.state:
            return False
        if self.state and uptime - self._since < self._settings.dwell_of(self.state):
            return False
        self.state, self._since = agreed[0], uptime
        return True
