"""What a network's answers depend on, for networks that look at one place."""

import numpy as np
import pytest
from made_predictions import make_predictions

from steps.audit.occlusion import CELLS, choose_images, describe_surroundings, occlude

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
