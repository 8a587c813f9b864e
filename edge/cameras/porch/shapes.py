"""The shapes of which the scene is made: flat rectangles and clouds of leaves."""

import numpy as np
from numpy.typing import ArrayLike

from edge.cameras.porch.projection import Colour, Floats, Sketch, project


def draw_level(
    sketch: Sketch,
    x0: float,
    x1: float,
    z0: float,
    z1: float,
    colour: Colour,
    height: float,
    **light: float,
) -> None:
    """Draw a rectangle that lies at a height in metres."""
    corners = [(x0, height, z0), (x1, height, z0), (x1, height, z1), (x0, height, z1)]
    sketch.polygon(corners, colour, **light)


def draw_upright(
    sketch: Sketch,
    x0: float,
    x1: float,
    y0: float,
    y1: float,
    z: float,
    colour: Colour,
    **light: float,
) -> None:
    """Draw a rectangle that stands upright, facing the camera, z metres away."""
    sketch.polygon([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)], colour, **light)


def draw_leaves(
    sketch: Sketch,
    rng: np.random.Generator,
    centre: ArrayLike,
    spread: ArrayLike,
    count: int,
    size: float,
    colour: Colour,
    sun: float,
    lamp: float,
) -> None:
    """Draw a cloud of leaves: small ellipses, the upper ones lighter.

    Args:
        centre: (x, y, z) of the cloud in metres.
        spread: the reach of the cloud in metres, by axis.
        count: the number of leaves.
        size: of a leaf, in canvas pixels.
        sun, lamp: how much of that light a leaf takes, 0–1.
    """
    offsets = rng.normal(0, 0.42, (count, 3)).clip(-1, 1)
    for offset in offsets[np.argsort(-offsets[:, 2])]:
        middle = project([np.asarray(centre) + offset * np.asarray(spread)])[0]
        rim = middle + _ellipse(rng.uniform(0.7, 1.3) * size)
        tint = 0.72 + 0.34 * offset[1] + rng.normal(0, 0.09)
        sketch.flat_polygon(
            rim, np.clip(np.asarray(colour) * tint, 0, 255), sun * min(tint + 0.2, 1), lamp
        )


def _ellipse(radius: float) -> Floats:
    angles = np.linspace(0, 2 * np.pi, 9)[:-1]
    return np.asarray(np.stack([np.cos(angles), 0.8 * np.sin(angles)], axis=1) * radius)
