"""Why an image is kept, which sets its rank in the queue."""

from enum import StrEnum


class Reason(StrEnum):
    """Why an image is kept, in ascending order of importance."""

    PERIOD = "period"
    CONTROL = "control"
    UNCERTAIN = "uncertain"
    MOTION = "motion"
    MANUAL_TRIGGER = "manual_trigger"

    @property
    def rank(self) -> int:
        """The importance: images of the lowest rank are dropped first."""
        return list(Reason).index(self)
