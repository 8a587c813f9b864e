"""Confidence intervals of accuracies and other means, and how people read them."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.evaluation.predictions import Predictions
from steps.pipeline.outputs import TrainOutputs


def wilson(correct: float, count: float, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson score interval of a share: at 95 % unless ``z`` is another.

    Unlike the normal interval, it stays within 0–1 and does not shrink to nothing at 0 and 1.

    >>> tuple(round(bound, 3) for bound in wilson(10, 10))
    (0.722, 1.0)
    """
    share, spread = correct / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def with_interval(accuracy: float, images: int) -> str:
    """Return an accuracy as people read it, with its 95 % interval if the images are known.

    >>> with_interval(0.89, 100), with_interval(0.43, 0)
    ('0.89 (0.81–0.94)', '0.43')
    """
    if not images:
        return f"{accuracy:.2f}"
    low, high = wilson(round(accuracy * images), images)
    return f"{accuracy:.2f} ({low:.2f}–{high:.2f})"


def describe_accuracy(accuracy: float, images: int, validated: list[list[int]]) -> str:
    """Return an accuracy with its interval: that of cross-validation if there was one.

    Args:
        accuracy: on the test images.
        images: their number.
        validated: images by true and predicted label, by cross-validation.

    >>> describe_accuracy(1.0, 4, []), describe_accuracy(1.0, 4, [[18, 2], [0, 20]])
    ('1.00 (0.51–1.00)', '0.95 (0.84–0.99) by cross-validation')
    """
    if not validated:
        return with_interval(accuracy, images)
    confusion = np.array(validated)
    images = int(confusion.sum())
    return f"{with_interval(confusion.trace() / images, images)} by cross-validation"


def expected_accuracy(trained: TrainOutputs) -> str:
    """Return the accuracy that is expected of a trained network, with its interval, in words."""
    images = trained.test_images
    return describe_accuracy(trained.metrics["accuracy"], images, trained.cross_validated)


def bootstrap(
    values: NDArray[np.floating[Any]], blocks: NDArray[Any], seed: int = 0, draws: int = 2000
) -> tuple[float, float] | None:
    """Return the 95 % block-bootstrap interval of a mean: (low, high).

    Values are alike within a block, so the draws are of blocks.

    Args:
        values: ``float [N]``.
        blocks: ``[N]``: the block of each value.
        seed: of the draws.
        draws: number of draws.

    Returns:
        None if there are fewer than two blocks.
    """
    names, numbers = np.unique(blocks, return_inverse=True)
    if len(names) < 2:
        return None
    sums, counts = np.bincount(numbers, values), np.bincount(numbers)
    drawn = np.random.default_rng(seed).integers(0, len(names), (draws, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def mean_interval(test: Predictions) -> tuple[float, float]:
    """Return the 95 % interval of the accuracy, by whole hours of each device if they are known.

    If no image is wrong there is nothing to draw from, and it is Wilson's.
    """
    correct, bounds = test.correct, None
    if test.has_times and not correct.all():
        bounds = bootstrap(correct.astype(float), test.blocks)
    return bounds or wilson(int(correct.sum()), len(correct))


def prediction_interval(
    correct: NDArray[np.bool_], groups: NDArray[np.str_]
) -> tuple[float, float]:
    """Return the 95 % prediction interval of the accuracy of a group that was not seen, 0–1.

    That of a random-effects meta-analysis (Higgins et al. 2009, "A re-evaluation of random-effects
    meta-analysis") of arcsine-transformed accuracies: what differs by chance within a group does
    not count as a difference between groups.

    Args:
        correct: ``bool [N]``.
        groups: ``str [N]``, of at least three.
    """
    from scipy.stats import t

    _, numbers = np.unique(groups, return_inverse=True)
    images, right = np.bincount(numbers), np.bincount(numbers, correct)
    angles = np.arcsin(np.sqrt((right + 0.375) / (images + 0.75)))  # Anscombe's
    weights = 4.0 * images
    mean = np.average(angles, weights=weights)
    excess = weights @ (angles - mean) ** 2 - (len(images) - 1)
    between = max(0.0, excess / (weights.sum() - (weights**2).sum() / weights.sum()))
    weights = 1 / (1 / weights + between)
    mean = np.average(angles, weights=weights)
    half = float(t.ppf(0.975, len(images) - 2)) * math.sqrt(between + 1 / weights.sum())
    low, high = np.sin(np.clip([mean - half, mean + half], 0, math.pi / 2)) ** 2
    # the transformation keeps off 0 and 1, which groups can well have
    return min(float(low), correct.mean()), max(float(high), (right / images).max())
