"""A simulated camera: a front porch by day and night, with and without packages.

A frame depends on the seed and the capture time only, so the same call gives the same pixels,
and a second run continues where the first one ended.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from edge.cameras.camera import Camera, CameraSettings, Frame, Shot

if TYPE_CHECKING:
    from edge.cameras.porch.things import Package


class SimulatedCamera(Camera):
    """A camera that draws a porch.

    Args:
        settings: another seed is another porch with other packages.

    Attributes:
        now: returns the time that a :meth:`shot` is taken at.
        porch: what it draws.

    Example::

        camera = SimulatedCamera(CameraSettings(period=timedelta(minutes=30), seed=1))
        for frame in camera.frames(48):
            print(frame.captured_at, frame.label)
    """

    model = "simulated"
    description = "a drawn front porch"
    default_count = 480

    def __init__(self, settings: CameraSettings):
        # here, so that other cameras need no memory for it: the command line reads all classes
        from edge.cameras.porch.porch import Porch

        super().__init__(settings)
        self.now: Callable[[], datetime] = lambda: datetime.now().astimezone()
        self.porch = Porch(settings.seed)

    def frames(self, count: int | None) -> Iterator[Frame]:
        """Yield ``count`` frames, one a period of simulated time; for ``None`` without end."""
        for number in itertools.count() if count is None else range(count):
            yield self.at(self.settings.start + number * self.settings.period)

    def open(self) -> None:
        """Do nothing: a drawing needs no start."""

    @contextmanager
    def shot(self) -> Iterator[Shot]:
        """Return the porch as it is now."""
        yield Shot.of(self.at(self.now()))

    def close(self) -> None:
        """Do nothing: a drawing needs no stop."""

    def at(self, time: datetime) -> Frame:
        """Return the frame of one capture time; the light follows the clock of its time zone."""
        packages = self.packages(time)
        return Frame(self.porch.render(time, packages), time, label="1" if packages else "0")

    def packages(self, time: datetime) -> "list[Package]":
        """Return the packages on the porch at a time: none, or one or two since a delivery."""
        return self.porch.packages(time)
