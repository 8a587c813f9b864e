"""What the page needs from the agent."""

from dataclasses import dataclass
from typing import Any, Protocol

from edge.cameras.camera import FrameImage


@dataclass(frozen=True)
class RecentImage:
    """An image that was kept, as the page shows it.

    Attributes:
        id: in the queue.
        at: when it was taken, ISO.
        reason: why it is kept.
        label: the answer of the model; None without one.
        jpeg: the image, smaller.
    """

    id: int
    at: str
    reason: str
    label: str | None
    jpeg: bytes


class PreviewSource(Protocol):
    """A running device, as the page shows it."""

    def status(self) -> dict[str, Any]:
        """Return the device's status, ready for JSON."""

    def health_issues(self) -> list[str]:
        """Return what keeps the device from its work; nothing if it is healthy."""

    def seconds_since_round(self) -> dict[str, float]:
        """Return how long ago each thread finished a round."""

    def score_history(self) -> list[dict[str, Any]]:
        """Return points of the curve of the last day's scores, ready for JSON, oldest first."""

    def recent_images(self) -> list[RecentImage]:
        """Return the images that were kept last since the start, oldest first."""

    def last_frame(self) -> FrameImage | None:
        """Return the last frame: a file's bytes or pixels; None before the first."""

    def trigger(self) -> None:
        """Keep the next frame, and take it at once."""
