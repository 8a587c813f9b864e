"""The things that come and go on the porch: packages, a chair and a cat."""

import math
from dataclasses import dataclass

import numpy as np

from edge.cameras.porch.sketch import EYE, Extent, Floats, Random, Sketch

CARDBOARD = ((186, 146, 100), (170, 128, 84), (200, 164, 120), (156, 116, 78))
MAILERS = ((226, 222, 212), (74, 92, 124), (206, 186, 96), (58, 60, 66))
TAPES = ((206, 178, 132), (236, 228, 208), (60, 110, 170))


@dataclass(frozen=True)
class Package:
    """A box on the floor; lengths in metres, the turn about the upright axis in radians."""

    x: float
    z: float
    width: float
    depth: float
    height: float
    turn: float
    colour: tuple[int, int, int]
    tape: tuple[int, int, int] | None

    @classmethod
    def random(cls, rng: Random) -> "Package":
        """Draw a package: mostly brown and taped, sometimes a mailing bag without tape."""
        width, depth, height = rng.uniform((0.4, 0.3, 0.18), (0.75, 0.5, 0.46))
        boxed = rng.random() < 0.8
        colours = CARDBOARD if boxed else MAILERS
        x, z, turn = rng.uniform((-0.5, 1.65, -0.7), (0.6, 2.25, 0.7))
        colour = tuple(rng.permutation(np.array(colours))[0])
        tape = tuple(rng.permutation(np.array(TAPES))[0]) if boxed else None
        return cls(x, z, width, depth, height if boxed else height * 0.5, turn, colour, tape)

    def footprint(self, margin: float = 0.0) -> Floats:
        """Return the corners on the floor: ``float [4, 2]`` (x, z), plus a margin in metres."""
        half = np.array((self.width, self.depth)) / 2 + margin
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        return np.asarray(corners @ np.array([(cos, sin), (-sin, cos)]) + (self.x, self.z))


def draw_package(sketch: Sketch, package: Package, sunward: Floats, lit: float) -> None:
    """Draw a package, each side as bright as it faces the sun.

    Args:
        sunward: unit vector to the sun.
        lit: how much sun reaches the package past roof and pillars, 0–1.
    """
    base = np.insert(package.footprint(), 1, 0.0, axis=1)
    top = base + np.array((0, package.height, 0))
    sides = []
    for i in range(4):
        j = (i + 1) % 4
        along = base[j] - base[i]
        outward = np.cross((0, 1, 0), along) / np.linalg.norm(along)
        if outward @ ((base[i] + base[j]) / 2 - (0, 1.7, 0)) < 0:
            sides.append((outward, i, j))
    colour = np.array(package.colour)
    for outward, i, j in sides:
        side = np.array([base[i], base[j], top[j], top[i]])
        light = {"sun": lit * max(outward @ sunward, 0), "lamp": 0.45 + 0.4 * max(-outward[0], 0)}
        sketch.polygon(side, colour * 0.86, **light)
        if package.tape and i % 2 == 0:
            tape = np.array(package.tape) * 0.88
            sketch.polygon(_part_of_quad(side, 0.42, 0.58, 0.55, 1), tape, **light)
        if package.tape and i % 2 == 1:
            sketch.polygon(_part_of_quad(side, 0.18, 0.5, 0.25, 0.62), (228, 224, 216), **light)
    light = {"sun": lit * max(sunward[1], 0), "lamp": 1.0}
    sketch.polygon(top, colour, **light)
    if package.tape:
        sketch.polygon(_part_of_quad(top, 0.43, 0.57, 0, 1), package.tape, **light)
        sketch.polygon(_part_of_quad(top, 0.63, 0.92, 0.16, 0.5), (236, 233, 226), **light)
        for line in (0.22, 0.29, 0.36):
            sketch.polygon(_part_of_quad(top, 0.66, 0.86, line, line + 0.03), (80, 80, 84), **light)
    else:
        sketch.polygon(_part_of_quad(top, 0.25, 0.75, 0.25, 0.7), (240, 238, 232), **light)


def _part_of_quad(quad: Floats, left: float, right: float, low: float, high: float) -> Floats:
    """Return the part of a quadrilateral between fractions of its width and its height."""
    a, b, c, d = quad
    corners = ((left, low), (right, low), (right, high), (left, high))
    return np.array([a + (b - a) * u + (d - a) * v + (a - b + c - d) * u * v for u, v in corners])


def draw_chair(sketch: Sketch, x: float, z: float, lit: float) -> None:
    """Draw a small wooden chair with its middle at (x, z), back to the wall on the left."""
    wood = np.array((118, 84, 58))

    def bar(x: Extent, y: Extent, z: Extent, tint: float = 1.0) -> None:
        if y[1] < EYE:
            sketch.rectangle(x, y[1], z, wood * 1.15 * tint, sun=lit * 0.8)
        inner = x[1] if x[1] < 0 else x[0]
        sketch.rectangle(inner, y, z, wood * 0.8 * tint, sun=lit * 0.3, lamp=0.4)
        sketch.rectangle(x, y, z[0], wood * 0.95 * tint, sun=lit * 0.3, lamp=0.6)

    back, sides = (x - 0.2, x - 0.165), ((x - 0.19, x - 0.155), (x + 0.16, x + 0.195))
    for side in sides:
        bar(side, (0, 0.44), (z + 0.16, z + 0.19))
    bar(back, (0.44, 0.92), (z + 0.16, z + 0.2))
    for y in (0.56, 0.7, 0.84):
        bar((x - 0.2, x - 0.18), (y, y + 0.07), (z - 0.18, z + 0.18), 1.08)
    for side in sides:
        bar(side, (0, 0.44), (z - 0.19, z - 0.16))
    bar((x - 0.2, x + 0.2), (0.42, 0.455), (z - 0.2, z + 0.2), 1.12)
    bar(back, (0.455, 0.92), (z - 0.2, z - 0.165))


def draw_cat(sketch: Sketch, x: float, z: float, grey: float, facing: int) -> None:
    """Draw a sitting cat at (x, z); ``facing`` is 1 (to the right) or -1, ``grey`` 0–1."""
    fur = np.array((64, 58, 54)) * (1 - grey) + np.array((176, 122, 72)) * grey

    def blob(cx: float, cy: float, rx: float, ry: float, tint: float = 1.0) -> None:
        angles = np.linspace(0, 2 * np.pi, 20)
        across, up = x + facing * (cx + rx * np.cos(angles)), cy + ry * np.sin(angles)
        rim = np.stack([across, up, np.full(20, z)], axis=1)
        sketch.polygon(rim, fur * tint, sun=0.15, lamp=0.7)

    def ear(cx: float) -> None:
        outline = ((cx - 0.035, 0.36), (cx + 0.03, 0.37), (cx + 0.005, 0.44))
        tip = [(x + facing * across, up, z) for across, up in outline]
        sketch.polygon(tip, fur * 0.9, sun=0.15, lamp=0.7)

    for step in np.linspace(0, 1, 8):
        blob(-0.1 - 0.16 * step, 0.03 + 0.09 * step**2, 0.032, 0.022, 0.85)
    blob(-0.02, 0.11, 0.125, 0.115)
    blob(0.035, 0.19, 0.085, 0.13, 1.06)
    blob(0.06, 0.05, 0.03, 0.055, 1.12)
    blob(0.07, 0.32, 0.07, 0.062, 1.1)
    ear(0.035)
    ear(0.1)
