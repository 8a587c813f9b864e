"""The scenery that never changes: porch, garden, and the street behind; drawn once a seed."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops

from edge.cameras.porch.leaves import draw_leaves
from edge.cameras.porch.sketch import (
    SUPERSAMPLING,
    Extent,
    Floats32,
    Random,
    Sketch,
    floor_coordinates,
    project,
    share,
)
from edge.cameras.porch.street import GROUND, draw_street

WALL_X, RAIL_X, PORCH_END = -1.15, 1.45, 3.2
PILLARS = ((-1.05, 3.1), (1.45, 3.1))
LAMP = (-0.98, 1.92, 2.05)


@dataclass(frozen=True, eq=False)
class Scenery:
    """The scene without its things.

    Attributes:
        sketch: the empty scene.
        porch: mask (mode L, as large as the sketch) of all that is nearer than the street.
        sky: ``float32 [CANVAS, CANVAS]``, 1 if the pixel shows the sky.
        shelter: ``float32 [CANVAS, CANVAS]``, how much of the sky's light arrives under the
            roof: 1 outside, less towards the house.
    """

    sketch: Sketch
    porch: Image.Image
    sky: Floats32
    shelter: Floats32


def draw_scenery(seed: int) -> Scenery:
    """Draw the empty porch of a seed."""
    rng = np.random.default_rng([seed, 1])
    sketch = Sketch()
    draw_street(sketch, rng)
    _garden(sketch, rng)
    _roughen(sketch, rng, 0.11)
    outside = sketch.colour.copy()
    _floor(sketch, rng)
    _wall(sketch, rng)
    _railing(sketch)
    _bush(sketch, rng)
    _lantern(sketch)
    porch = _mask(ImageChops.difference(outside, sketch.colour).convert("L"))
    _roughen(sketch, rng, 0.03)
    drawn = _mask(sketch.surface.getchannel("M"))
    inside = share(porch.reduce(SUPERSAMPLING))
    _, z = floor_coordinates()
    depth = np.clip((z - 0.9) / (PORCH_END - 0.9), 0, 1)
    return Scenery(
        sketch,
        porch,
        sky=1 - share(drawn.reduce(SUPERSAMPLING)),
        shelter=np.asarray(1 - inside * (1 - (0.42 + 0.4 * depth)), np.float32),
    )


def _mask(channel: Image.Image) -> Image.Image:
    return channel.point(lambda value: 255 if value else 0)


def _garden(sketch: Sketch, rng: Random) -> None:
    """Draw the lawn, the path to the porch, bushes and a tree."""
    grass, slab = np.array((98, 128, 62)), np.array((176, 168, 154))
    sketch.rectangle((-30, 30), GROUND, (1.0, 8.8), grass, sun=0.95, lamp=0.14)
    for x, z in rng.uniform((-9, 4), (9, 8.7), (420, 2)):
        tint = rng.uniform(0.84, 1.16)
        blades = (x - 0.28, x + 0.28), GROUND, (z, z + 0.1)
        sketch.rectangle(*blades, grass * tint, sun=0.95, lamp=0.14)
    for z in np.arange(PORCH_END, 8.7, 0.62):
        tint = rng.uniform(0.92, 1.05)
        step = (-0.52, 0.52), GROUND, (z + 0.03, z + 0.6)
        sketch.rectangle(*step, slab * tint, sun=0.95, lamp=0.2)
    for x in (-3.4, -2.6, 2.7, 3.6, 4.4):
        draw_leaves(sketch, rng, (x, 0.02, 7.6), (0.55, 0.5, 0.3), 60, 5, (78, 112, 58), 0.9, 0.1)
    sketch.rectangle((-4.75, -4.45), (GROUND, 2.6), 8.3, (96, 76, 60), sun=0.8, lamp=0.08)
    draw_leaves(sketch, rng, (-4.6, 3.1, 8.3), (1.7, 1.5, 0.8), 240, 8, (92, 126, 60), 0.9, 0.05)


def _floor(sketch: Sketch, rng: Random) -> None:
    sketch.rectangle((WALL_X, 3.4), 0, (0.3, PORCH_END), (84, 66, 52), floor=1)
    for x in np.arange(WALL_X, 3.4, 0.135):
        for along in ((0.3, 1.75), (1.76, PORCH_END)):
            colour = np.array((164, 136, 106)) * rng.uniform(0.88, 1.1)
            sketch.rectangle((x + 0.005, x + 0.13), 0, along, colour, floor=1)
            for grain in x + rng.uniform(0.02, 0.11, 2):
                sketch.rectangle((grain, grain + 0.006), 0, along, colour * 0.92, floor=1)
    sketch.rectangle((WALL_X, 3.4), (GROUND, 0), PORCH_END, (150, 124, 98), sun=0.2, lamp=0.1)
    sketch.rectangle((-0.62, 0.42), 0.004, (0.98, 1.42), (66, 62, 60), floor=1)
    sketch.rectangle((-0.57, 0.37), 0.004, (1.03, 1.37), (98, 84, 68), floor=1)


def _wall(sketch: Sketch, rng: Random) -> None:
    sketch.rectangle(WALL_X, (0, 3.4), (0.3, 2.3), (176, 166, 154), sun=0.3)
    for course, y in enumerate(np.arange(0.13, 3.4, 0.085)):
        for z in np.arange(0.3 - 0.13 * (course % 2), 2.3, 0.26):
            colour = np.array((154, 88, 70)) * rng.uniform(0.82, 1.14)
            brick = (y, y + 0.073), (max(z, 0.3), min(z + 0.248, 2.3))
            sketch.rectangle(WALL_X, *brick, colour, sun=0.3)
    sketch.rectangle(WALL_X, (0, 0.12), (0.3, 2.3), (222, 218, 208), sun=0.35)


def _post(sketch: Sketch, x: float, z: float, half: float, y: Extent) -> None:
    """Draw a white square post; the side towards the middle is a little darker."""
    side = x - half if x > 0 else x + half
    sketch.rectangle(side, y, (z - half, z + half), (206, 204, 198), sun=0.35, lamp=0.8)
    sketch.rectangle((x - half, x + half), y, z - half, (232, 230, 224), sun=0.18)


def _railing(sketch: Sketch) -> None:
    z = PORCH_END - 0.1
    for x in np.arange(0.78, RAIL_X, 0.135):
        _post(sketch, x, z, 0.017, (0.08, 0.8))
    sketch.rectangle((0.66, RAIL_X), (0.8, 0.87), z - 0.03, (236, 234, 228), sun=0.2)
    sketch.rectangle((0.66, RAIL_X), (0.06, 0.11), z - 0.03, (228, 226, 220), sun=0.2)
    for x, z in PILLARS:
        _post(sketch, x, z, 0.1, (0, 4.5))
        _post(sketch, x, z, 0.13, (0, 0.16))
    _post(sketch, 0.66, PORCH_END - 0.1, 0.05, (0, 0.98))


def _bush(sketch: Sketch, rng: Random) -> None:
    pot = project([(0.98, 0.34, 2.62), (1.34, 0.34, 2.62), (1.28, 0, 2.62), (1.04, 0, 2.62)])
    sketch.flat_polygon(pot, (172, 98, 70), sun=0.3, lamp=0.9)
    centre, spread = (1.16, 0.68, 2.62), (0.34, 0.46, 0.2)
    draw_leaves(sketch, rng, centre, spread, 520, 4.5, (84, 132, 66), 0.55, 0.9)


def _lantern(sketch: Sketch) -> None:
    x, y, z = LAMP
    sketch.rectangle((WALL_X, x), (y + 0.15, y + 0.18), z, (40, 40, 42), sun=0.3)
    pane = (x - 0.055, x + 0.055), (y - 0.11, y + 0.1), z
    sketch.rectangle(*pane, (255, 236, 190), sun=0.4, glow=1)
    for left, right, low, high in (
        (-0.07, 0.07, 0.1, 0.14),
        (-0.03, 0.03, 0.14, 0.19),
        (-0.07, 0.07, -0.14, -0.11),
        (-0.065, -0.052, -0.11, 0.1),
        (0.052, 0.065, -0.11, 0.1),
        (-0.006, 0.006, -0.11, 0.1),
    ):
        bar = (x + left, x + right), (y + low, y + high), z
        sketch.rectangle(*bar, (38, 38, 40), sun=0.3, lamp=0.3)


def _roughen(sketch: Sketch, rng: Random, strength: float) -> None:
    """Add a fine and a coarse grain to flat colours."""
    side = sketch.colour.width
    grain = np.zeros((side, side), np.float32)
    for scale in (1, 4, 16):
        cells = Image.fromarray(rng.standard_normal((side // scale,) * 2).astype(np.float32))
        grain += np.asarray(cells.resize((side, side), Image.Resampling.BILINEAR))
    colours = np.asarray(sketch.colour) * (1 + strength / 2 * grain[..., None])
    sketch.colour.paste(Image.fromarray(colours.clip(0, 255).astype(np.uint8)))
