"""Occlusion maps: how much less probable a network's answer is if a part of the image is hidden."""

from collections.abc import Iterable
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.inference.region import WHOLE, Region
from steps.evaluation.predictions import Predict, Predictions, predict_in_batches

IMAGES = 16
CELLS = 4
"""Hidden parts along each side. More would take a deep network too long."""
EVIDENCE = 0.9
"""Of what supports the answers, the share in a proposed region: it should leave out no object."""
CERTAIN = 1e-7
"""How near to 0 or 1 a probability counts."""


class OcclusionMap(NamedTuple):
    """What hiding parts of an image does to the predicted label.

    Attributes:
        pixels: of the image, ``uint8 [H, W, 3]``.
        drops: what each hidden cell takes off the label's log-odds, ``[CELLS, CELLS]``.
        needs_border, needs_middle: whether another label is predicted if the outer half of the
            image is hidden, or the inner half.
    """

    pixels: NDArray[np.uint8]
    drops: NDArray[np.float64]
    needs_border: bool
    needs_middle: bool


def choose_images(test: Predictions) -> list[int]:
    """Return the indices of up to ``IMAGES`` images to occlude, as many of each label as can be."""
    order = np.argsort(test.truth, kind="stable")
    rank = np.concatenate([np.arange(n) for n in np.unique(test.truth, return_counts=True)[1]])
    chosen = order[np.argsort(rank, kind="stable")][:IMAGES]
    return [int(index) for index in sorted(chosen)]


def occlude(predict: Predict, images: Iterable[NDArray[np.uint8]]) -> list[OcclusionMap]:
    """Hide each cell of a grid in turn, then the outer and the inner half, by the mean colour.

    Args:
        predict: the network.
        images: prepared pixels, ``uint8 [H, W, 3]`` each.
    """
    return [_occlude(predict, pixels) for pixels in images]


def _occlude(predict: Predict, pixels: NDArray[np.uint8]) -> OcclusionMap:
    height, width = pixels.shape[:2]
    rows, columns = np.arange(height) * CELLS // height, np.arange(width) * CELLS // width
    cell = rows[:, None] * CELLS + columns
    side = 1 - 0.5**0.5  # of half of the image, around its centre
    inner = np.zeros((height, width), bool)
    top, left = round(height * side / 2), round(width * side / 2)
    inner[top : height - top, left : width - left] = True
    hidden = [cell < 0, *(cell == number for number in range(CELLS**2)), ~inner, inner]
    mean = pixels.mean(axis=(0, 1)).astype(np.uint8)
    found = predict_in_batches(
        predict, np.stack([np.where(mask[:, :, None], mean, pixels) for mask in hidden])
    )
    label = found[0].argmax()
    without_border, without_middle = found[-2:].argmax(axis=1) != label
    of_label = np.clip(found[:-2, label].astype(np.float64), CERTAIN, 1 - CERTAIN)
    odds = np.log(of_label / (1 - of_label))
    drops = (odds[0] - odds[1:]).reshape(CELLS, CELLS)
    return OcclusionMap(pixels, drops, bool(without_border), bool(without_middle))


def describe_surroundings(maps: list[OcclusionMap], seen: Region = WHOLE) -> str:
    """Return what helps if more answers need the border than the middle; empty if not.

    Args:
        maps: of some images.
        seen: the part of an image that the network sees.
    """
    if not depend_on_surroundings(maps):
        return ""
    border, middle = _needs(maps)
    return (
        f"The answer depends on the surroundings: it changes on {border} of {len(maps)} images if "
        f"their outer half is hidden, and on {middle} if their inner half is. If the object is "
        "always in one part of the image, let the network see that alone: "
        f"-P region={propose_region(maps, seen) or 'x,y,width,height'}"
    )


def depend_on_surroundings(maps: list[OcclusionMap]) -> bool:
    """Return whether more answers need the border than the middle, and at least a quarter do."""
    border, middle = _needs(maps)
    return border > middle and border >= len(maps) / 4


def _needs(maps: list[OcclusionMap]) -> tuple[int, int]:
    """Return how many answers need the border, and how many the middle."""
    return sum(one.needs_border for one in maps), sum(one.needs_middle for one in maps)


def propose_region(maps: list[OcclusionMap], seen: Region = WHOLE) -> Region | None:
    """Return the part of an image that most answers need; None if they need no such part.

    Only images count whose answer changes if their middle is hidden: others may show what the
    network sees in place of the object. What supports an answer is what makes it less probable if
    it is hidden, and each image counts the same. Of the rectangles of cells that have ``EVIDENCE``
    of that and at most half of the image, it is the smallest, and of those the one with the most.

    Args:
        maps: of some images.
        seen: the part of an image that the network sees.
    """
    clipped = [np.clip(one.drops, 0, None) for one in maps if one.needs_middle]
    supports = [one / one.sum() for one in clipped if one.any()]
    evidence = sum(supports, np.zeros((CELLS, CELLS)))
    found = []
    for (x, right), (y, bottom) in product(combinations(range(CELLS + 1), 2), repeat=2):
        cells, share = (right - x) * (bottom - y), evidence[y:bottom, x:right].sum()
        if cells <= CELLS**2 / 2 and share >= EVIDENCE * len(supports) > 0:
            found.append((cells, -share, (x, y, right - x, bottom - y)))
    return seen.part(*(number / CELLS for number in min(found)[2])) if found else None
