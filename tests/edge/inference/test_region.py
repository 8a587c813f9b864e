"""Regions: which numbers are one, and which devices have one."""

import pytest

from edge.inference.region import WHOLE, Region, region_of

REGIONS = {"7": Region(0.25, 0.5, 0.5, 0.25), "": Region(0, 0, 1, 1 / 3)}


@pytest.mark.parametrize(
    ("regions", "device", "expected"),
    [
        (REGIONS, "7", REGIONS["7"]),
        (REGIONS, "8", REGIONS[""]),
        (REGIONS, "", REGIONS[""]),
        (REGIONS, None, REGIONS[""]),
        ({"7": REGIONS["7"]}, "8", WHOLE),
        ({}, "7", WHOLE),
    ],
)
def test_a_device_has_its_own_region_or_the_one_of_others(regions, device, expected):
    assert region_of(regions, device) == expected


@pytest.mark.parametrize(
    "numbers",
    [
        *([], [0, 0, 1], [0, 0, 1, 1, 1], ["a", 0, 1, 1], [None, 0, 1, 1], None, 5, ""),
        *([-0.1, 0, 1, 1], [0, -0.1, 1, 1], [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, -1, 1]),
        *([0.5, 0, 0.6, 1], [0, 0.5, 1, 0.6], [0, 0, 1.1, 1], [2, 2, 1, 1]),
        *([float("inf"), 0, 1, 1], [0, 0, 1, float("inf")]),
        *(
            [number if i == place else 0.25 for i in range(4)]
            for place in range(4)
            for number in [float("nan")]
        ),
    ],
)
def test_what_is_no_part_of_an_image_is_no_region(numbers):
    with pytest.raises(
        ValueError, match=r"^no part of an image; give x,y,width,height in fractions"
    ):
        Region.of(numbers)


def test_a_region_up_to_the_edge_is_one_however_its_numbers_round():
    for thousandths in range(1, 1000):
        start, rest = thousandths / 1000, (1000 - thousandths) / 1000
        assert Region.of(str(Region.of([start, 0, rest, 1])).split(",")) == (start, 0, rest, 1)
