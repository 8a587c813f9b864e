"""Why an image is kept, which says what it is worth."""

from enum import StrEnum


class Reason(StrEnum):
    """Why an image is kept; the later, the more it is worth."""

    PERIOD = "period"
    CONTROL = "control"
    UNCERTAIN = "uncertain"
    MOTION = "motion"
    DEMAND = "demand"

    @property
    def rank(self) -> int:
        """The lowest goes first where there is no space."""
        return list(Reason).index(self)
