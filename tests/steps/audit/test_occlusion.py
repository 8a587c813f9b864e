"""What a network's answers depend on, for networks that look at one place."""

import numpy as np
import pytest
from made_predictions import make_predictions

from edge.inference.region import WHOLE, Region
from steps.audit.occlusion import (
    CELLS,
    OcclusionMap,
    choose_images,
    describe_surroundings,
    occlude,
)

SIDE = 4 * CELLS
IMAGES = np.random.default_rng(0).integers(0, 60, (5, SIDE, SIDE, 3), np.uint8)


def _looks_at(rows: slice, columns: slice):
    """A network that predicts the second label if a place is bright."""

    def predict(pixels: np.ndarray) -> np.ndarray:
        bright = pixels[:, rows, columns].mean(axis=(1, 2, 3)) / 255
        return np.stack([1 - bright, bright], axis=1).astype(np.float32)

    return predict


def _bright(rows: slice, columns: slice) -> np.ndarray:
    images = IMAGES.copy()
    images[:, rows, columns] = 250
    return images


@pytest.mark.parametrize(
    ("place", "cell", "sentence"),
    [
        (slice(0, 4), (0, 0), "The answer depends on the surroundings: it changes on 5 of 5 "),
        (slice(8, 12), (2, 2), ""),
    ],
)
def test_the_map_shows_the_place(place, cell, sentence):
    maps = occlude(_looks_at(place, place), _bright(place, place))
    for one in maps:
        assert np.unravel_index(one.drops.argmax(), one.drops.shape) == cell
        assert one.drops[cell] > 0.5 and np.count_nonzero(np.abs(one.drops) > 0.01) == 1
    assert describe_surroundings(maps).startswith(sentence)
    assert bool(describe_surroundings(maps)) == bool(sentence)


def test_a_network_that_looks_at_nothing_depends_on_nothing():
    maps = occlude(lambda pixels: np.tile(np.float32([0.7, 0.3]), (len(pixels), 1)), IMAGES)
    assert not any(one.drops.any() or one.needs_border or one.needs_middle for one in maps)
    assert describe_surroundings(maps) == ""


def test_images_are_chosen_of_each_label():
    truth = np.array(["a"] * 40 + ["b"] * 3)
    chosen = choose_images(make_predictions(43, truth=truth))
    assert len(chosen) == 16 and sum(truth[chosen] == "b") == 3
    assert choose_images(make_predictions(3)) == [0, 1, 2]


def _map(rows: slice, columns: slice, needs_middle: bool = True) -> OcclusionMap:
    """A map of an image whose answer needs its border, and a place for nine tenths."""
    drops = np.full((CELLS, CELLS), 0.1 / CELLS**2)
    drops[rows, columns] += 0.9 / drops[rows, columns].size
    drops[0, 0] -= 5  # what speaks against an answer does not count
    return OcclusionMap(IMAGES[0], drops, True, needs_middle)


def _strong(one: OcclusionMap) -> OcclusionMap:
    return one._replace(drops=one.drops * 100)


@pytest.mark.parametrize(
    ("maps", "seen", "region"),
    [
        ([_map(slice(2, 3), slice(1, 3))], WHOLE, "0.25,0.5,0.5,0.25"),
        ([_map(slice(2, 3), slice(1, 3))], Region(0.2, 0.4, 0.4, 0.6), "0.3,0.7,0.2,0.15"),
        # the object is at one of two places, next to each other
        ([_map(slice(1, 2), slice(n, n + 1)) for n in (1, 2)], WHOLE, "0.25,0.25,0.5,0.25"),
        # a strong answer counts as much as others
        (
            [_map(slice(3, 4), slice(2, 3))] * 3 + [_strong(_map(slice(1, 2), slice(2, 3)))],
            WHOLE,
            "0.5,0.25,0.25,0.75",
        ),
        # images that do not need their middle may show a shortcut
        (
            [_map(slice(2, 3), slice(1, 3)), *[_map(slice(0, 1), slice(3, 4), False)] * 9],
            WHOLE,
            "0.25,0.5,0.5,0.25",
        ),
        ([_map(slice(0, 1), slice(3, 4), False)] * 4, WHOLE, "x,y,width,height"),
        # no small part: neither all of the image nor two corners
        ([_map(slice(0, 4), slice(0, 4))] * 4, WHOLE, "x,y,width,height"),
        (
            [_map(slice(0, 1), slice(3, 4)), _map(slice(3, 4), slice(0, 1))],
            WHOLE,
            "x,y,width,height",
        ),
        (
            [_map(slice(2, 3), slice(1, 3))],
            Region(2 / 3, 0, 1 / 3, 1 / 3),
            "0.75,0.166,0.166,0.083",
        ),
    ],
)
def test_the_part_that_the_answers_need_is_proposed_as_region(maps, seen, region):
    maps = maps + [_map(slice(0, 1), slice(0, 1), False)] * len(maps)  # the border is needed more
    assert describe_surroundings(maps, seen).endswith(f" alone: -P region={region}")
    if region[0] != "x":
        Region.of(region.split(","))
