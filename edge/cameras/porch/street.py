"""The view from the porch: the garden, the street with its cars, houses and trees."""

import math

import numpy as np

from edge.cameras.porch.projection import Colour, Sketch
from edge.cameras.porch.shapes import draw_leaves, draw_level, draw_upright

GROUND = -0.35
"""Height of the ground below the porch floor, in metres."""

HOUSES = (
    # x from, x to, height of the wall, height of the roof, colour of the wall, of the roof
    (-26, -14, 4.4, 2.8, (176, 160, 140), (92, 70, 66)),
    (-10.5, 2.5, 4.8, 3.2, (196, 186, 168), (112, 66, 56)),
    (6, 17, 4.2, 2.6, (138, 154, 166), (74, 76, 86)),
    (20, 32, 4.6, 3.0, (186, 168, 150), (98, 74, 64)),
)


CAR_ROWS = (100, 190)
"""The canvas rows between which a car is drawn."""


def draw_street(sketch: Sketch, rng: np.random.Generator) -> None:
    """Draw the trees, the houses and the street, from far to near."""
    for x in np.linspace(-40, 40, 34):
        height = rng.uniform(5.5, 9)
        draw_leaves(
            sketch, rng, (x, height / 2, 34), (2.0, height / 2, 1), 70, 8, (70, 92, 62), 0.75, 0.02
        )
    _ground(sketch, -60, 60, 17, 36, (112, 132, 74), sun=0.9, lamp=0.03)
    for x0, x1, wall, roof, colour, tiles in HOUSES:
        draw_upright(sketch, x0, x1, GROUND, wall, 24, colour, sun=0.55, lamp=0.02)
        ridge = [
            (x0 - 0.6, wall, 24),
            (x1 + 0.6, wall, 24),
            (x1 - 2.2, wall + roof, 26),
            (x0 + 2.2, wall + roof, 26),
        ]
        sketch.polygon(ridge, tiles, sun=0.7, lamp=0.02)
        for x in np.arange(x0 + 1.2, x1 - 1.6, 2.9):
            glow = 0.9 if rng.random() < 0.3 else 0.03
            draw_upright(
                sketch, x - 0.15, x + 1.45, 1.3, 3.3, 24, (228, 224, 214), sun=0.5, lamp=0.02
            )
            draw_upright(
                sketch, x, x + 1.3, 1.45, 3.15, 24, (84, 98, 112), sun=0.3, lamp=0.02, glow=glow
            )
    _ground(sketch, -40, 40, 15.6, 17, (158, 154, 146), sun=0.9, lamp=0.02)
    _ground(sketch, -40, 40, 10.2, 15.6, (92, 94, 98), sun=0.9, lamp=0.03)
    for x in np.arange(-30, 30, 3.0):
        _ground(sketch, x, x + 1.5, 12.8, 13.0, (208, 204, 190), sun=0.9, lamp=0.03)
    _ground(sketch, -40, 40, 8.8, 10.2, (164, 160, 152), sun=0.9, lamp=0.04)


def draw_garden(sketch: Sketch, rng: np.random.Generator, porch_end: float) -> None:
    """Draw the lawn, the path to the porch, which ends at a z in metres, bushes and a tree."""
    _ground(sketch, -30, 30, 1.0, 8.8, (98, 128, 62), sun=0.95, lamp=0.14)
    for x, z in rng.uniform((-9, 4), (9, 8.7), (420, 2)):
        tint = rng.uniform(0.84, 1.16)
        _ground(
            sketch,
            x - 0.28,
            x + 0.28,
            z,
            z + 0.1,
            np.array((98, 128, 62)) * tint,
            sun=0.95,
            lamp=0.14,
        )
    for z in np.arange(porch_end, 8.7, 0.62):
        tint = rng.uniform(0.92, 1.05)
        _ground(
            sketch,
            -0.52,
            0.52,
            z + 0.03,
            z + 0.6,
            np.array((176, 168, 154)) * tint,
            sun=0.95,
            lamp=0.2,
        )
    for x in (-3.4, -2.6, 2.7, 3.6, 4.4):
        draw_leaves(sketch, rng, (x, 0.02, 7.6), (0.55, 0.5, 0.3), 60, 5, (78, 112, 58), 0.9, 0.1)
    draw_upright(sketch, -4.75, -4.45, GROUND, 2.6, 8.3, (96, 76, 60), sun=0.8, lamp=0.08)
    draw_leaves(sketch, rng, (-4.6, 3.1, 8.3), (1.7, 1.5, 0.8), 240, 8, (92, 126, 60), 0.9, 0.05)


def draw_car(sketch: Sketch, x: float, colour: Colour, headlights: bool) -> None:
    """Draw a car in the street, its middle at x; its lights glow when they are on."""
    z = 11.6
    shape = [
        (-2.1, 0.25),
        (2.1, 0.25),
        (2.1, 0.85),
        (1.5, 0.95),
        (0.9, 1.42),
        (-0.9, 1.42),
        (-1.6, 0.95),
        (-2.1, 0.9),
    ]
    glass = [(-1.35, 0.95), (1.2, 0.95), (0.8, 1.33), (-0.82, 1.33)]
    for outline, paint, sun in ((shape, colour, 0.8), (glass, (62, 72, 82), 0.5)):
        sketch.polygon([(x + u, GROUND + v, z) for u, v in outline], paint, sun=sun, lamp=0.03)
    angles = np.linspace(0, 2 * np.pi, 14)
    for wheel in (-1.3, 1.3):
        rim = [
            (x + wheel + 0.33 * math.cos(a), GROUND + 0.33 + 0.33 * math.sin(a), z) for a in angles
        ]
        sketch.polygon(rim, (34, 34, 36), sun=0.6, lamp=0.03)
    for end in (-2.05, 1.85):
        lamp = [
            (x + end, GROUND + 0.62, z),
            (x + end + 0.2, GROUND + 0.62, z),
            (x + end + 0.2, GROUND + 0.8, z),
            (x + end, GROUND + 0.8, z),
        ]
        sketch.polygon(lamp, (240, 236, 220), lamp=0.03, glow=1.0 if headlights else 0.02)


def _ground(
    sketch: Sketch, x0: float, x1: float, z0: float, z1: float, colour: Colour, **light: float
) -> None:
    draw_level(sketch, x0, x1, z0, z1, colour, GROUND, **light)
