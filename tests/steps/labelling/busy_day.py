"""A simulated day on a busy porch: packages come and go more often than they do."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from edge.cameras.camera import CameraSettings
from edge.cameras.jpeg import encode_pixels
from edge.cameras.porch.things import Package
from edge.cameras.simulated import SimulatedCamera

START = datetime(2026, 7, 13, tzinfo=UTC)
PERIOD = timedelta(minutes=5)
FRAMES = 288
SPEED = 3.5


class BusyPorch(SimulatedCamera):
    """A porch in whose time the light goes as always."""

    def packages(self, time: datetime) -> list[Package]:
        return super().packages(START + SPEED * (time - START))


def busy_day(seed: int = 1) -> Iterator[tuple[str, bytes, str]]:
    """The name, the JPEG and the true label of each frame of the day."""
    camera = BusyPorch(CameraSettings(period=PERIOD, seed=seed, start=START))
    for frame in camera.frames(FRAMES):
        name = f"{frame.captured_at:%Y-%m-%dT%H:%M:%S}_rpi_sensor_porch_front.jpg"
        yield name, encode_pixels(frame.image), frame.label
