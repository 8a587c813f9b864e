"""What an image shows outside its region of interest, which no network sees, but the audit does."""

import math

import numpy as np

from edge.inference.prepare import prepare
from edge.inference.region import WHOLE, Region

CELLS = 4
"""Along each side: coarse enough to say where an image is from, not what it shows."""
SIDE = 64
"""Of the image that is read, pixels: a JPEG of 8 times that is decoded at an eighth."""


def describe_outside(content: bytes, region: Region) -> bytes:
    """Return the mean colours of an image's cells without their parts within the region.

    Returns:
        ``uint8 [CELLS, CELLS, 3]``; a cell within the region has the mean of all that is outside.
        Nothing if nothing is outside.
    """
    outside = np.ones((SIDE, SIDE), bool)
    rows, columns = (
        # a pixel more: those beside the region have some of it
        slice(max(0, math.floor(SIDE * begin) - 1), math.ceil(SIDE * (begin + size)) + 1)
        for begin, size in ((region.y, region.height), (region.x, region.width))
    )
    outside[rows, columns] = False
    if region == WHOLE or not outside.any():
        return b""
    pixels = prepare(content, (SIDE, SIDE)).astype(np.float64)
    pixels[~outside] = pixels[outside].mean(axis=0)
    width = SIDE // CELLS
    cells = pixels.reshape(CELLS, width, CELLS, width, 3).mean(axis=(1, 3))
    return bytes(cells.round().astype(np.uint8).tobytes())
