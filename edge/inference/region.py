"""Regions of interest: of a fixed camera's images, the part that a model sees."""

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple


class Region(NamedTuple):
    """A part of an upright image: its left and top edge and its size, in fractions of the image."""

    x: float
    y: float
    width: float
    height: float

    @classmethod
    def of(cls, numbers: Iterable[Any]) -> "Region":
        """Return the region that four numbers are, or texts of numbers.

        Raises:
            ValueError: they are not four, or not a part of an image.

        >>> str(Region.of("0.25,.5,0.5,0.25".split(",")))
        '0.25,0.5,0.5,0.25'
        """
        with suppress(TypeError, ValueError):
            x, y, width, height = map(float, numbers)
            # all of it is false of a NaN
            if x >= 0 and y >= 0 and width > 0 and height > 0 and x + width <= 1 >= y + height:
                return cls(x, y, width, height)
        raise ValueError(
            "no part of an image; give x,y,width,height in fractions of it: 0.2,0,0.8,1"
        )

    def part(self, x: float, y: float, width: float, height: float) -> "Region":
        """Return what a part of the region, in fractions of it, is of the image, to 0.001."""
        x, y = self.x + x * self.width, self.y + y * self.height
        numbers = x, y, width * self.width, height * self.height
        return Region(*(math.floor(1000 * number) / 1000 for number in numbers))  # not beyond it

    def __str__(self) -> str:
        return ",".join(map(str, self))


WHOLE = Region(0, 0, 1, 1)

OTHER_DEVICES = ""
"""The key of the region for images of all devices that have none of their own."""


def region_of(regions: Mapping[str, Region], device: str | None) -> Region:
    """Return the region for images of a device, or of an unknown one; the whole image if none."""
    return regions.get(device or OTHER_DEVICES, regions.get(OTHER_DEVICES, WHOLE))
