"""The pinhole camera, and the sketch on which polygons in space are drawn.

Space is in metres: x to the right, y up from the porch floor, z away from the house. The
camera hangs above the door, at (0, EYE, 0), and looks down at the floor by PITCH.
"""

import math
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Random = np.random.Generator
Colour = Floats | tuple[int, int, int]
"""Red, green and blue, 0–255."""

Extent = tuple[float, float]
"""From and to along an axis, in metres."""

Place = float | Extent

CANVAS = 496
"""Side of the drawn square in pixels: the image's 480 and a margin for the camera's shake."""

EYE = 1.7
PITCH = math.radians(22)
FOCAL = 315.0
NEAR = 0.2
SUPERSAMPLING = 2

SURFACE = {"sun": 1.0, "lamp": 1.0, "glow": 0.0, "floor": 0.0}
"""How much sun and how much lamplight a surface takes, how strongly it glows at night, and whether
it is the porch floor; 0–1."""


def project(points: ArrayLike) -> Floats:
    """Project ``[n, 3]`` points in metres to ``float [m, 2]`` canvas pixels (column, row).

    Points behind the lens are clipped away, so m may differ from n, and may be 0.
    """
    x, y, z = np.asarray(points, float).T
    up, depth = y - EYE, z
    height = up * math.cos(PITCH) + depth * math.sin(PITCH)
    distance = depth * math.cos(PITCH) - up * math.sin(PITCH)
    seen = _clip_near(np.stack([x, height, distance], axis=1))
    if not len(seen):
        return np.empty((0, 2))
    return np.asarray(CANVAS / 2 + FOCAL * seen[:, :2] / seen[:, 2:] * [1, -1])


def _clip_near(points: Floats) -> Floats:
    kept = []
    for start, end in zip(points, np.roll(points, -1, axis=0), strict=True):
        if start[2] >= NEAR:
            kept.append(start)
        if (start[2] >= NEAR) != (end[2] >= NEAR) and len(points) > 2:
            kept.append(start + (end - start) * (NEAR - start[2]) / (end[2] - start[2]))
    return np.array(kept).reshape(-1, 3)


def floor_coordinates() -> tuple[Floats32, Floats32]:
    """Return x and z of the floor behind each canvas pixel: two ``float32 [CANVAS, CANVAS]``.

    Above the horizon z is a large number, so that no special case is needed.
    """
    column, row = np.meshgrid(*[(np.arange(CANVAS) + 0.5 - CANVAS / 2) / FOCAL] * 2)
    fall = row * math.cos(PITCH) + math.sin(PITCH)
    scale = EYE / np.maximum(fall, 1e-3)
    z = scale * (math.cos(PITCH) - row * math.sin(PITCH))
    return (column * scale).astype(np.float32), z.astype(np.float32)


class Sketch:
    """Two images drawn together: the colours, and how each surface takes the light.

    Attributes:
        colour: RGB albedo.
        surface: the four values of :data:`SURFACE` as channels of 0–255.
    """

    def __init__(self, colour: Image.Image | None = None, surface: Image.Image | None = None):
        side = CANVAS * SUPERSAMPLING
        self.colour = colour or Image.new("RGB", (side, side))
        # CMYK is Pillow's mode of four plain channels: RGBA would be weighted by its opacity.
        self.surface = surface or Image.new("CMYK", (side, side), (0, 0, 0, 0))

    def copy(self) -> "Sketch":
        """Return a copy to draw on."""
        return Sketch(self.colour.copy(), self.surface.copy())

    def restore(self, original: "Sketch", where: Image.Image, rows: tuple[int, int]) -> None:
        """Restore an earlier sketch between two canvas rows, where a mask (mode L) is set."""
        upper, lower = (row * SUPERSAMPLING for row in rows)
        band = (0, upper, where.width, lower)
        self.colour.paste(original.colour.crop(band), band, where.crop(band))
        self.surface.paste(original.surface.crop(band), band, where.crop(band))

    def polygon(self, points: ArrayLike, colour: Colour, **light: float) -> None:
        """Draw a polygon of ``[n, 3]`` points in metres with an sRGB colour of 0–255."""
        self.flat_polygon(project(points), colour, **light)

    def rectangle(self, x: Place, y: Place, z: Place, colour: Colour, **light: float) -> None:
        """Draw a rectangle: of x, y and z, two are extents, and one is the number it lies at."""
        a, b, d, c = product(*map(np.atleast_1d, (x, y, z)))
        self.polygon([a, b, c, d], colour, **light)

    def flat_polygon(self, pixels: Floats, colour: Colour, **light: float) -> None:
        """Draw a polygon of ``[n, 2]`` canvas pixels; its light is by default :data:`SURFACE`."""
        if len(pixels) < 3:
            return
        outline = [(float(x), float(y)) for x, y in pixels * SUPERSAMPLING]
        surface = tuple(int(255 * min(max(v, 0), 1)) for v in (SURFACE | light).values())
        ImageDraw.Draw(self.colour).polygon(outline, fill=tuple(int(c) for c in colour))
        ImageDraw.Draw(self.surface).polygon(outline, fill=surface)

    def reduced(self) -> tuple[list[Bytes], list[Bytes]]:
        """Return the bands of both images without supersampling: ``uint8 [CANVAS, CANVAS]``."""
        return _bands(self.colour), _bands(self.surface)


def _bands(image: Image.Image) -> list[Bytes]:
    return [np.asarray(band) for band in image.reduce(SUPERSAMPLING).split()]


def share(channel: Image.Image) -> Floats32:
    """Return a channel of a sketch, 0–255, as ``float32`` of 0–1."""
    return np.asarray(channel, np.float32) / np.float32(255)
