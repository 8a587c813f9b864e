"""Metrics of predictions and their intervals; nothing here knows of images or networks."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.evaluation.metric_names import label_metric

BINS = 10


def metrics_of(
    labels: list[str],
    probabilities: NDArray[np.float32],
    truth: NDArray[np.str_],
    predicted: NDArray[np.str_],
) -> dict[str, float]:
    """Return accuracy, log loss, calibration error; recall, precision and PR-AUC of each label.

    All are 0–1 but for the loss. A label that no image has is left out; one that is never
    predicted has the precision 0.

    Args:
        labels: class names in the order of the columns.
        probabilities: ``float32 [N, classes]``.
        truth: ``str [N]``: the true labels; they may be none of the model's.
        predicted: ``str [N]``: the predicted labels.
    """
    correct = predicted == truth
    of_truth = (probabilities * (np.array(labels) == truth[:, None])).sum(axis=1)
    most_probable = np.array(labels)[probabilities.argmax(axis=1)]
    metrics = {
        "accuracy": float(correct.mean()),
        "log_loss": float(-np.log(np.clip(of_truth, 1e-7, 1)).mean()),
        "calibration_error": calibration_error(probabilities.max(axis=1), most_probable == truth),
    }
    for index, label in enumerate(labels):
        true, positive = truth == label, predicted == label
        if true.any():
            metrics[label_metric("recall", label)] = float(correct[true].mean())
            precision = correct[positive].mean() if positive.any() else 0
            metrics[label_metric("precision", label)] = float(precision)
            metrics[label_metric("pr_auc", label)] = average_precision(
                probabilities[:, index], true
            )
    return metrics


def average_precision(scores: NDArray[np.floating[Any]], true: NDArray[np.bool_]) -> float:
    """Return the area under the precision-recall curve as average precision, 0–1.

    ``sum((R_n - R_(n-1)) P_n)`` over the distinct scores, from the highest (no interpolation,
    which flatters).

    Args:
        scores: ``float [N]``, higher if the label is more likely.
        true: ``bool [N]``, at least one of them true.

    >>> round(average_precision(np.array([0.9, 0.8, 0.3]), np.array([True, False, True])), 4)
    0.8333
    """
    order = np.argsort(-scores, kind="stable")
    scores, true = scores[order], true[order]
    found = np.cumsum(true)
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))  # of each distinct score
    precision = found[last] / (last + 1)
    gained = np.diff(found[last], prepend=0) / found[-1]
    return float((precision * gained).sum())


def calibration_error(confidence: NDArray[np.floating[Any]], correct: NDArray[np.bool_]) -> float:
    """Return the expected calibration error: how far confidence is from accuracy, 0–1.

    It is taken over ten bins of equal width, weighted by their images (Guo et al. 2017, "On
    calibration of modern neural networks").

    Args:
        confidence: ``float [N]``: the highest probability of each image.
        correct: ``bool [N]``: whether that label is the true one.
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(confidence[bins == n].sum() - correct[bins == n].sum()) for n in range(BINS)]
    return float(sum(gaps) / len(correct))


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
