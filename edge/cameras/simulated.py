"""A simulated camera: a front porch by day and night, with and without packages.

What it sees is a function of the seed and the capture time alone, so the same call gives the
same pixels, and a second run picks up where the first one ended.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np

from edge.cameras.camera import Frame, Shot
from edge.cameras.porch.light import Daylight, PorchLight
from edge.cameras.porch.scenery import draw_scenery
from edge.cameras.porch.sensor import LINEAR, Sensor
from edge.cameras.porch.things import (
    CAR_ROWS,
    Package,
    draw_car,
    draw_cat,
    draw_chair,
    draw_package,
)

DELIVERY_HOURS = 5.0
"""Every so often a delivery comes. It shares no factor with 24, so that over some days every
hour is seen with a package and without."""

CAR_COLOURS = ((150, 40, 38), (52, 70, 110), (214, 214, 212), (60, 62, 66), (170, 160, 130))
LAMPLIGHT = np.array((1.0, 0.66, 0.34), np.float32)
WINDOWLIGHT = np.array((1.0, 0.74, 0.34), np.float32)
DELIVERY, CHAIR, CAR, CLOUDS, MOMENT, NOISE = range(2, 8)


class SimulatedCamera:
    """A camera that draws a porch.

    Args:
        start: capture time of the first frame, with a time zone.
        period: simulated time between two frames.
        seed: another seed is another porch with other packages.
        now: the time that a :meth:`shot` is taken at.

    Example::

        camera = SimulatedCamera(datetime(2026, 7, 13, tzinfo=UTC), timedelta(minutes=30), seed=1)
        for frame in camera.frames(48):
            print(frame.captured_at, frame.label)
    """

    model = "simulated"

    def __init__(
        self,
        start: datetime,
        period: timedelta,
        seed: int,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ):
        self.start, self.period, self.seed, self._now = start, period, seed, now
        self._scenery = draw_scenery(seed)
        self._light = PorchLight()
        self._sky_rows = int(np.flatnonzero(self._scenery.sky.any(axis=1))[-1]) + 1
        self._sensor = Sensor(np.random.default_rng([seed, NOISE]))
        self._clouds = _cloud_strip(np.random.default_rng([seed, CLOUDS]))

    def frames(self, count: int | None) -> Iterator[Frame]:
        """Yield ``count`` frames, one a period; for ``None`` it goes on for ever."""
        number = 0
        while count is None or number < count:
            yield self.at(self.start + number * self.period)
            number += 1

    def open(self) -> None:
        """There is nothing to start."""

    @contextmanager
    def shot(self) -> Iterator[Shot]:
        """The porch as it is now."""
        yield Shot.of(self.at(self._now()))

    def close(self) -> None:
        """There is nothing to stop."""

    def at(self, time: datetime) -> Frame:
        """The frame of one capture time; the light goes by the clock of its time zone."""
        packages = self.packages(time)
        return Frame(self._render(time, packages), time, label="1" if packages else "0")

    def packages(self, time: datetime) -> list[Package]:
        """The packages on the porch at a time: none, or one or two since a delivery."""
        hours = _seconds(time) / 3600
        number = int(hours // DELIVERY_HOURS)
        rng = np.random.default_rng([self.seed, DELIVERY, number])
        arrival = rng.uniform(0, 2.6)
        taken_in = arrival + rng.uniform(1.5, 3.6)
        if not arrival <= hours - number * DELIVERY_HOURS < min(taken_in, DELIVERY_HOURS):
            return []
        packages = [Package.random(rng)]
        second = Package.random(rng)
        if rng.random() < 0.25 and abs(second.x - packages[0].x) > 0.55:
            packages.append(second)
        return sorted(packages, key=lambda package: -package.z)

    def _render(self, time: datetime, packages: list[Package]) -> np.ndarray:
        seconds = _seconds(time)
        rng = np.random.default_rng([self.seed, MOMENT, seconds])
        hour = time.hour + time.minute / 60 + time.second / 3600
        daylight = Daylight.at(hour, self._cloud_cover(seconds))
        sketch = self._scenery.sketch.copy()
        self._draw_street(sketch, seconds, daylight)
        self._draw_porch(sketch, packages, daylight, seconds, rng)
        colour, surface = sketch.reduced()
        light = self._illumination(surface, packages, daylight)
        for band, albedo in zip(light, colour, strict=True):
            band *= LINEAR[albedo]
        if daylight.night:
            windows = surface[2] * np.float32(daylight.night * 0.22 / 255)
            halo = self._light.halo * np.float32(daylight.night * 0.35)
            light += np.multiply.outer(WINDOWLIGHT, windows)
            light += np.multiply.outer(LAMPLIGHT, halo)
        self._fill_sky(light, daylight, seconds)
        return self._sensor.expose(light, rng)

    def _draw_street(self, sketch, seconds: int, daylight: Daylight) -> None:
        rng = np.random.default_rng([self.seed, CAR, seconds // 7200])
        if rng.random() < 0.5:
            colour = CAR_COLOURS[rng.integers(len(CAR_COLOURS))]
            moving = rng.random() < 0.3
            draw_car(sketch, rng.uniform(-7, 7), colour, moving and daylight.night > 0.5)
            sketch.restore(self._scenery.sketch, self._scenery.porch, CAR_ROWS)

    def _draw_porch(self, sketch, packages, daylight: Daylight, seconds: int, rng) -> None:
        things = [
            (
                package.z,
                lambda lit, p=package: draw_package(sketch, p, daylight.sunward, lit),
                package.x,
            )
            for package in packages
        ]
        chair = np.random.default_rng([self.seed, CHAIR, seconds // 14400])
        if chair.random() < 0.25:
            x, z = chair.uniform((-0.92, 2.3), (-0.82, 2.6))
            things.append((z, lambda lit: draw_chair(sketch, x, z, lit), x))
        if rng.random() < 0.15:
            side = -1 if packages and packages[-1].x > 0 else 1
            cat_x, cat_z = side * rng.uniform(0.35, 0.62), rng.uniform(1.7, 2.4)
            grey, facing = rng.random(), int(rng.choice((-1, 1)))
            things.append((cat_z, lambda lit: draw_cat(sketch, cat_x, cat_z, grey, facing), cat_x))
        for z, draw, x in sorted(things, key=lambda thing: -thing[0]):
            draw(float(self._light.sun_on_floor(daylight, x, z)))

    def _illumination(self, surface, packages, daylight: Daylight) -> np.ndarray:
        """Linear light that falls on each pixel: ``float32 [3, CANVAS, CANVAS]``."""
        takes_sun, takes_lamp, _, floor = (band * np.float32(1 / 255) for band in surface)
        shadows = self._light.shadows(packages, daylight)
        ambient = self._scenery.shelter * (1 - np.float32(0.75) * floor * (1 - shadows["sky"]))
        light = np.multiply.outer(daylight.ambient.astype(np.float32), ambient)
        if daylight.sun.any():
            steepness = np.float32(daylight.sunward[1] ** 0.5)
            on_floor = self._light.floor_sun(daylight) * shadows["sun"] * steepness
            sun = takes_sun * (1 - floor + floor * on_floor)
            light += np.multiply.outer(daylight.sun.astype(np.float32), sun)
        if daylight.night:
            lamp = takes_lamp * (1 - floor * (1 - shadows["lamp"]))
            lamp *= self._light.lamp * np.float32(0.42 * daylight.night)
            light += np.multiply.outer(LAMPLIGHT, lamp)
        return light

    def _cloud_cover(self, seconds: int) -> float:
        """How much of the sky is covered, 0–1: drifts over hours."""
        number, part = divmod(seconds / 10800, 1)
        before, after = (
            np.random.default_rng([self.seed, CLOUDS, int(number) + later]).beta(0.8, 1.1)
            for later in (0, 1)
        )
        return float(before + (after - before) * part)

    def _fill_sky(self, light: np.ndarray, daylight: Daylight, seconds: int) -> None:
        rows = self._sky_rows
        clouds = np.roll(self._clouds, -seconds // 40, axis=1)[:rows, : light.shape[2]]
        clouds = np.clip((clouds - np.float32(0.62 - 0.5 * daylight.clouds)) * 2.6, 0, 1)
        seen = self._scenery.sky[:rows]
        gradient = daylight.sky()[:rows].astype(np.float32)
        white = (gradient.mean(axis=1, keepdims=True) * 0.55 + gradient * 0.45) * 1.35
        white *= 1 - 0.35 * daylight.clouds
        for band, clear, cloudy in zip(light, gradient.T, white.T, strict=True):
            sky = clear[:, None] + (cloudy - clear)[:, None].astype(np.float32) * clouds
            band[:rows] += (sky - band[:rows]) * seen


def _seconds(time: datetime) -> int:
    """Seconds on the clock's face since 1970, whatever the zone: noon is noon everywhere."""
    return int((time.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


def _cloud_strip(rng: np.random.Generator) -> np.ndarray:
    """A band of cloud that joins at its ends: ``float32 [256, 2048]`` of 0–1."""
    rows, columns = np.fft.fftfreq(256)[:, None] * 2.5, np.fft.fftfreq(2048)[None]
    power = 1 / (np.hypot(rows, columns) + 0.004) ** 1.7
    waves = np.fft.ifft2(np.fft.fft2(rng.standard_normal((256, 2048))) * power).real
    low, high = np.percentile(waves, (2, 98))
    return ((waves - low) / (high - low)).clip(0, 1).astype(np.float32)
