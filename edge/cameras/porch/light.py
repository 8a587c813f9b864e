"""The light on the porch at a time of day: sun, clouds, sky, the lantern, and their shadows.

Colours are linear light: 1.0 is white paper in full sun at noon.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from edge.cameras.porch.scenery import LAMP, PILLARS, PORCH_END
from edge.cameras.porch.sketch import CANVAS, Floats, Floats32, floor_coordinates, project, share
from edge.cameras.porch.things import Package

SUNRISE, SUNSET, NOON_ELEVATION = 5.3, 20.7, 62.0
ROOF = 2.8


def _smoothstep(low: float, high: float, value: Any) -> Any:
    """Return 0 below ``low``, 1 above ``high``, and smooth steps between.

    Args:
        low, high: where the step begins and ends.
        value: a number or an array, whose kind the result has.
    """
    part = np.clip((value - low) / (high - low), 0, 1)
    return part * part * (3 - 2 * part)


@dataclass(frozen=True)
class Daylight:
    """The sky's light at one moment.

    Attributes:
        elevation: of the sun in degrees, negative below the horizon.
        sunward: unit vector to the sun.
        sun: colour and strength of the direct sun, ``[3]``.
        ambient: colour and strength of the sky's light, ``[3]``.
        night: 0 by day, 1 at night: whether lamps are on.
        clouds: how much of the sky is covered, 0–1.
    """

    elevation: float
    sunward: Floats
    sun: Floats
    ambient: Floats
    night: float
    clouds: float

    @classmethod
    def at(cls, hour: float, clouds: float) -> "Daylight":
        """Return the light at an hour of the day (0–24, fractions count) under clouds of 0–1."""
        phase = (hour - SUNRISE) / (SUNSET - SUNRISE)
        elevation = NOON_ELEVATION * math.sin(math.pi * phase)
        if not 0 <= phase <= 1:
            elevation = -60 * math.sin(math.pi * ((hour - SUNSET) % 24) / (24 - SUNSET + SUNRISE))
        height = math.radians(max(elevation, 1.5))
        side = math.radians(-95 + 190 * min(max(phase, 0), 1))
        sunward = np.array(
            [math.sin(side) * math.cos(height), math.sin(height), math.cos(side) * math.cos(height)]
        )
        day = float(_smoothstep(-7, 14, elevation))
        warmth = 1 - float(_smoothstep(2, 28, elevation))
        sun_colour = np.array((1.0, 0.96, 0.9)) * (1 - warmth) + np.array((1, 0.62, 0.32)) * warmth
        sun = sun_colour * float(_smoothstep(-0.5, 10, elevation)) * (1.35 - 1.27 * clouds)
        dusk = math.exp(-(((elevation + 1) / 6) ** 2))
        blue = np.array((0.36, 0.41, 0.49)) * (1 - clouds) + np.array((0.45, 0.46, 0.47)) * clouds
        red, stars = np.array((0.16, 0.085, 0.075)), np.array((0.006, 0.0085, 0.015))
        ambient = blue * day + red * dusk + stars
        night = 1 - float(_smoothstep(-4, 5, elevation))
        return cls(elevation, sunward, sun, ambient, night, clouds)

    def sky(self) -> Floats:
        """Return the sky's colour by canvas row, from the top to the horizon: ``[CANVAS, 3]``."""
        rows = np.linspace(0, 1, CANVAS)[:, None] * 3.2
        depth = np.clip(rows, 0, 1) ** 1.3
        day = float(_smoothstep(-6, 12, self.elevation))
        dusk = math.exp(-(((self.elevation - 0.5) / 6.5) ** 2)) * (1 - 0.6 * self.clouds)
        zenith = np.array((0.16, 0.36, 0.78)) * day + np.array((0.006, 0.009, 0.022))
        horizon = np.array((0.62, 0.76, 0.92)) * day + np.array((0.014, 0.016, 0.03))
        grey = np.array((0.62, 0.65, 0.69)) * (0.9 * day + 0.02)
        veil = 0.55 * self.clouds
        clear = zenith * (1 - depth) + horizon * depth
        glow = np.array((1.0, 0.42, 0.16)) * depth + np.array((0.3, 0.14, 0.3)) * (1 - depth)
        veiled = clear * (1 - veil) + grey * veil
        return np.asarray(veiled * (1 - 0.45 * dusk) + glow * 0.62 * dusk)


class PorchLight:
    """Sun and lamplight on the porch; the parts that never change are kept."""

    def __init__(self) -> None:
        self.floor_x, self.floor_z = floor_coordinates()
        x, y, z = LAMP
        distance2 = (self.floor_x - x) ** 2 + (self.floor_z - z) ** 2 + y * y
        on_floor = (y * y * y / distance2**1.5) ** 0.8
        column, row = project([LAMP])[0]
        columns, rows = np.meshgrid(*[np.arange(CANVAS)] * 2)
        around = 1 / (1 + ((columns - column) ** 2 + (rows - row) ** 2) / 120.0**2)
        near = 1 - _smoothstep(PORCH_END, PORCH_END + 0.8, self.floor_z)
        lamp = near * np.maximum(on_floor, 0.5 * around) + (1 - near) * around
        self.lamp = lamp.astype(np.float32)
        beyond = ((columns - column) ** 2 + (rows - row) ** 2) / 26.0**2
        self.halo = (0.55 / (1 + beyond) ** 1.5).astype(np.float32)

    def floor_sun(self, daylight: Daylight) -> Floats32:
        """Return the direct sun on the floor, else 0: ``float32 [CANVAS, CANVAS]`` of 0–1."""
        lit: Floats32 = np.zeros_like(self.lamp)
        first = int(np.flatnonzero(self.floor_z[:, 0] < PORCH_END + 0.1)[0])
        lit[first:] = self.sun_on_floor(daylight, self.floor_x[first:], self.floor_z[first:])
        return lit

    def sun_on_floor(self, daylight: Daylight, x: Any, z: Any) -> Any:
        """Return how much direct sun (0–1) reaches floor points past roof and pillars.

        Args:
            daylight: of the moment.
            x, z: the points in metres: numbers or arrays, whose kind the result has.
        """
        right, up, ahead = daylight.sunward
        lit = _smoothstep(-0.06, 0.06, z - (PORCH_END + 0.1 - ROOF * ahead / up))
        length = max(math.hypot(right, ahead), 1e-6)
        for pillar_x, pillar_z in PILLARS:
            along = ((pillar_x - x) * right + (pillar_z - z) * ahead) / length
            across = ((pillar_x - x) * ahead - (pillar_z - z) * right) / length
            shadow = (1 - _smoothstep(0.1, 0.16, np.abs(across))) * (along > -0.1)
            lit = lit * (1 - shadow)
        return lit

    def shadows(self, packages: list[Package], daylight: Daylight) -> dict[str, Floats32]:
        """Draw the packages' shadows on the floor.

        Returns:
            The share of the light from ``sun``, ``lamp`` and ``sky`` that remains near the
            packages: ``float32 [CANVAS, CANVAS]`` of 0–1, or a single 1 without packages.
        """
        right, up, ahead = daylight.sunward
        shades = dict.fromkeys(("sun", "lamp", "sky"), np.ones((), np.float32))
        if not packages:
            return shades
        for kind, blur in (("sun", 1.0), ("lamp", 2.5), ("sky", 7.0)):
            shade = Image.new("L", (CANVAS, CANVAS), 255)
            for package in packages:
                base = package.footprint(0.03 if kind == "sky" else 0.0)
                away = np.array((package.x - LAMP[0], package.z - LAMP[2]))
                shift = {
                    "sun": -np.array((right, ahead)) * min(package.height / up, 6.0),
                    "lamp": away * package.height / (LAMP[1] - package.height),
                    "sky": np.zeros(2),
                }[kind]
                _fill_hull(shade, np.concatenate([base, base + shift]))
            shades[kind] = share(shade.filter(ImageFilter.BoxBlur(blur)))
        return shades


def _fill_hull(shade: Image.Image, points: Floats) -> None:
    """Fill the convex hull of floor points (x, z)."""
    ordered = sorted((float(x), float(z)) for x, z in points)
    hull: list[tuple[float, float]] = []
    for direction in (ordered, ordered[::-1]):
        half: list[tuple[float, float]] = []
        for point in direction:
            while len(half) > 1 and _turns_right(half[-2], half[-1], point):
                half.pop()
            half.append(point)
        hull += half[:-1]
    outline = project(np.insert(np.array(hull), 1, 0.0, axis=1))
    if len(outline) > 2:
        ImageDraw.Draw(shade).polygon([(float(x), float(y)) for x, y in outline], fill=0)


def _turns_right(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) <= 0
