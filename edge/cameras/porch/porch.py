"""The porch of a seed: what is on it at a time, and what a camera sees of it."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import numpy as np

from edge.cameras.porch.light import Daylight, PorchLight
from edge.cameras.porch.scenery import draw_scenery
from edge.cameras.porch.sensor import LINEAR, Sensor
from edge.cameras.porch.sketch import Bytes, Floats32, Random, Sketch
from edge.cameras.porch.sky import Sky
from edge.cameras.porch.street import CAR_ROWS, draw_car
from edge.cameras.porch.things import Package, draw_cat, draw_chair, draw_package

DELIVERY_HOURS = 5.0
"""Hours between two deliveries. They share no factor with 24, so that after some days every hour
was seen with a package and without."""

CAR_COLOURS = ((150, 40, 38), (52, 70, 110), (214, 214, 212), (60, 62, 66), (170, 160, 130))
LAMPLIGHT = np.array((1.0, 0.66, 0.34), np.float32)
WINDOWLIGHT = np.array((1.0, 0.74, 0.34), np.float32)
DELIVERY, CHAIR, CAR, _CLOUDS, MOMENT, NOISE = range(2, 8)
"""The streams of random numbers of a seed."""


class Porch:
    """A porch, on which packages, a chair, a cat and the light come and go.

    Args:
        seed: another one is another porch with other packages.
    """

    def __init__(self, seed: int):
        self.seed = seed
        self._scenery = draw_scenery(seed)
        self._light = PorchLight()
        self._sky = Sky(seed, self._scenery.sky)
        self._sensor = Sensor(np.random.default_rng([seed, NOISE]))

    def packages(self, time: datetime) -> list[Package]:
        """Return the packages on the porch at a time: none, or one or two since a delivery."""
        hours = _seconds(time) / 3600
        number = int(hours // DELIVERY_HOURS)
        rng = np.random.default_rng([self.seed, DELIVERY, number])
        arrival = rng.uniform(0, 2.6)
        removal = arrival + rng.uniform(1.5, 3.6)
        if not arrival <= hours - number * DELIVERY_HOURS < min(removal, DELIVERY_HOURS):
            return []
        packages = [Package.random(rng)]
        second = Package.random(rng)
        if rng.random() < 0.25 and abs(second.x - packages[0].x) > 0.55:
            packages.append(second)
        return sorted(packages, key=lambda package: -package.z)

    def render(self, time: datetime, packages: list[Package]) -> Bytes:
        """Draw the porch with these packages at a time, ``uint8 [H, W, 3]``."""
        seconds = _seconds(time)
        rng = np.random.default_rng([self.seed, MOMENT, seconds])
        hour = time.hour + time.minute / 60 + time.second / 3600
        daylight = Daylight.at(hour, self._sky.cover(seconds))
        sketch = self._scenery.sketch.copy()
        self._draw_street(sketch, seconds, daylight)
        self._draw_porch(sketch, packages, daylight, seconds, rng)
        colour, surface = sketch.reduced()
        light = self._illumination(surface, packages, daylight)
        light *= LINEAR[np.stack(colour)]
        if daylight.night:
            windows = surface[2] * np.float32(daylight.night * 0.22 / 255)
            halo = self._light.halo * np.float32(daylight.night * 0.35)
            light += np.multiply.outer(WINDOWLIGHT, windows)
            light += np.multiply.outer(LAMPLIGHT, halo)
        self._sky.fill(light, daylight, seconds)
        return self._sensor.expose(light, rng)

    def _draw_street(self, sketch: Sketch, seconds: int, daylight: Daylight) -> None:
        rng = np.random.default_rng([self.seed, CAR, seconds // 7200])
        if rng.random() < 0.5:
            colour = CAR_COLOURS[rng.integers(len(CAR_COLOURS))]
            moving = rng.random() < 0.3
            draw_car(sketch, rng.uniform(-7, 7), colour, moving and daylight.night > 0.5)
            sketch.restore(self._scenery.sketch, self._scenery.porch, CAR_ROWS)

    def _draw_porch(
        self, sketch: Sketch, packages: list[Package], daylight: Daylight, seconds: int, rng: Random
    ) -> None:
        things: list[tuple[float, float, Callable[[float], None]]] = [
            (package.z, package.x, partial(draw_package, sketch, package, daylight.sunward))
            for package in packages
        ]
        chair = np.random.default_rng([self.seed, CHAIR, seconds // 14400])
        if chair.random() < 0.25:
            x, z = chair.uniform((-0.92, 2.3), (-0.82, 2.6))
            things.append((z, x, partial(draw_chair, sketch, x, z)))
        if rng.random() < 0.15:
            side = -1 if packages and packages[-1].x > 0 else 1
            cat_x, cat_z = side * rng.uniform(0.35, 0.62), rng.uniform(1.7, 2.4)
            grey, facing = rng.random(), int(rng.choice((-1, 1)))
            things.append((cat_z, cat_x, lambda _: draw_cat(sketch, cat_x, cat_z, grey, facing)))
        for z, x, draw in sorted(things, key=lambda thing: -thing[0]):
            draw(float(self._light.sun_on_floor(daylight, x, z)))

    def _illumination(
        self, surface: list[Bytes], packages: list[Package], daylight: Daylight
    ) -> Floats32:
        """Return the linear light that falls on each pixel: ``float32 [3, CANVAS, CANVAS]``."""
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


def _seconds(time: datetime) -> int:
    """Return the seconds of the wall clock since 1970, so that noon is noon in every zone."""
    return int((time.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
