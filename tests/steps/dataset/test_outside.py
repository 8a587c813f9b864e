"""What is described of an image outside its region."""

import numpy as np
import pytest
from drawing import encoded
from PIL import Image

from edge.inference.region import WHOLE, Region
from steps.dataset.outside import CELLS, describe_outside

RED, BLUE = (250, 0, 0), (0, 0, 250)


def _cells(image: Image.Image, region: Region) -> np.ndarray:
    return np.frombuffer(describe_outside(encoded(image, "PNG"), region), np.uint8).reshape(
        CELLS, CELLS, 3
    )


def _image(region: Region) -> Image.Image:
    """Red within a region, blue outside."""
    image = Image.new("RGB", (640, 480), BLUE)
    box = region.x, region.y, region.x + region.width, region.y + region.height
    image.paste(RED, tuple(round(n) for n in np.array(box) * (640, 480, 640, 480)))
    return image


@pytest.mark.parametrize(
    "region", [Region(0.25, 0.25, 0.5, 0.5), Region(0, 0, 0.33, 1), Region(0.61, 0.7, 0.12, 0.3)]
)
def test_nothing_of_the_region_is_seen(region):
    assert (np.abs(_cells(_image(region), region).astype(int) - BLUE) <= 2).all()


def test_each_cell_has_its_own_colour():
    image = Image.new("RGB", (640, 480), BLUE)
    image.paste(RED, (0, 0, 160, 120))  # the first cell
    cells = _cells(image, Region(0.5, 0.5, 0.5, 0.5))
    assert np.abs(cells[0, :2] - np.array([RED, BLUE])).max() < 6
    mean = (np.array(RED) + 11 * np.array(BLUE)) / 12  # of all that is outside
    assert np.abs(cells[3, 3] - mean).max() < 4


@pytest.mark.parametrize("region", [WHOLE, Region(0.001, 0, 0.999, 1)])
def test_without_a_region_there_is_no_outside(region):
    assert describe_outside(encoded(_image(WHOLE), "PNG"), region) == b""
