"""The street: its cars, houses and trees."""

import numpy as np

from edge.cameras.porch.leaves import draw_leaves
from edge.cameras.porch.sketch import Colour, Random, Sketch

GROUND = -0.35
"""Height of the ground below the porch floor, in metres."""

HOUSES = (
    # x from, x to, height of the wall, height of the roof, colour of the wall, of the roof
    (-26, -14, 4.4, 2.8, (176, 160, 140), (92, 70, 66)),
    (-10.5, 2.5, 4.8, 3.2, (196, 186, 168), (112, 66, 56)),
    (6, 17, 4.2, 2.6, (138, 154, 166), (74, 76, 86)),
    (20, 32, 4.6, 3.0, (186, 168, 150), (98, 74, 64)),
)

CAR = ((-2.1, 0.25), (2.1, 0.25), (2.1, 0.85), (1.5, 0.95), (0.9, 1.42), (-0.9, 1.42), (-1.6, 0.95),
       (-2.1, 0.9))  # fmt: skip
CAR_GLASS = ((-1.35, 0.95), (1.2, 0.95), (0.8, 1.33), (-0.82, 1.33))
"""Outlines of a car from its side: metres from its middle, and above the ground."""

CAR_ROWS = (100, 190)
"""The canvas rows between which a car is drawn."""


def draw_street(sketch: Sketch, rng: Random) -> None:
    """Draw the trees, the houses and the street, from far to near."""
    for x in np.linspace(-40, 40, 34):
        half = rng.uniform(5.5, 9) / 2
        draw_leaves(sketch, rng, (x, half, 34), (2.0, half, 1), 70, 8, (70, 92, 62), 0.75, 0.02)
    sketch.rectangle((-60, 60), GROUND, (17, 36), (112, 132, 74), sun=0.9, lamp=0.03)
    for x0, x1, wall, roof, colour, tiles in HOUSES:
        sketch.rectangle((x0, x1), (GROUND, wall), 24, colour, sun=0.55, lamp=0.02)
        eaves, ridge = (wall, 24), (wall + roof, 26)
        slope = [(x0 - 0.6, *eaves), (x1 + 0.6, *eaves), (x1 - 2.2, *ridge), (x0 + 2.2, *ridge)]
        sketch.polygon(slope, tiles, sun=0.7, lamp=0.02)
        for x in np.arange(x0 + 1.2, x1 - 1.6, 2.9):
            light = {"lamp": 0.02, "glow": 0.9 if rng.random() < 0.3 else 0.03}
            frame, pane = (x - 0.15, x + 1.45), (x, x + 1.3)
            sketch.rectangle(frame, (1.3, 3.3), 24, (228, 224, 214), sun=0.5, lamp=0.02)
            sketch.rectangle(pane, (1.45, 3.15), 24, (84, 98, 112), sun=0.3, **light)
    sketch.rectangle((-40, 40), GROUND, (15.6, 17), (158, 154, 146), sun=0.9, lamp=0.02)
    sketch.rectangle((-40, 40), GROUND, (10.2, 15.6), (92, 94, 98), sun=0.9, lamp=0.03)
    for x in np.arange(-30, 30, 3.0):
        sketch.rectangle((x, x + 1.5), GROUND, (12.8, 13), (208, 204, 190), sun=0.9, lamp=0.03)
    sketch.rectangle((-40, 40), GROUND, (8.8, 10.2), (164, 160, 152), sun=0.9, lamp=0.04)


def draw_car(sketch: Sketch, x: float, colour: Colour, headlights: bool) -> None:
    """Draw a car in the street, its middle at x; its lights glow when they are on."""
    z = 11.6
    for outline, paint, sun in ((CAR, colour, 0.8), (CAR_GLASS, (62, 72, 82), 0.5)):
        sketch.polygon([(x + u, GROUND + v, z) for u, v in outline], paint, sun=sun, lamp=0.03)
    angles = np.linspace(0, 2 * np.pi, 14)
    for wheel in (-1.3, 1.3):
        across, up = x + wheel + 0.33 * np.cos(angles), GROUND + 0.33 + 0.33 * np.sin(angles)
        rim = np.stack([across, up, np.full(14, z)], axis=1)
        sketch.polygon(rim, (34, 34, 36), sun=0.6, lamp=0.03)
    glow = 1.0 if headlights else 0.02
    for end in (x - 2.05, x + 1.85):
        lamp = (end, end + 0.2), (GROUND + 0.62, GROUND + 0.8), z
        sketch.rectangle(*lamp, (240, 236, 220), lamp=0.03, glow=glow)
