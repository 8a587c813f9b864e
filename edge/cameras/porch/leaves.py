"""The leaves of trees and bushes."""

import numpy as np
from numpy.typing import ArrayLike

from edge.cameras.porch.sketch import Colour, Floats, Random, Sketch, project


def draw_leaves(
    sketch: Sketch,
    rng: Random,
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
        shade = np.clip(np.asarray(colour) * tint, 0, 255)
        sketch.flat_polygon(rim, shade, sun=sun * min(tint + 0.2, 1), lamp=lamp)


def _ellipse(radius: float) -> Floats:
    angles = np.linspace(0, 2 * np.pi, 9)[:-1]
    return np.asarray(np.stack([np.cos(angles), 0.8 * np.sin(angles)], axis=1) * radius)
