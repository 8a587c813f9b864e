"""Measures of a judgement and how sure they are; nothing here knows of images or networks."""

import math

import numpy as np

BINS = 10


def metrics_of(
    labels: list[str], probabilities: np.ndarray, truth: np.ndarray, said: np.ndarray
) -> dict[str, float]:
    """Accuracy, log loss, calibration error; recall, precision and PR-AUC of each label.

    All are 0–1 but for the loss. A label that no image has is left out; one that is never said
    has the precision 0.

    Args:
        labels: class names in the order of the columns.
        probabilities: ``float32 [N, classes]``.
        truth: ``str [N]``: the label that an image has; another one than the model's is possible.
        said: ``str [N]``: the label that it is given.
    """
    right = said == truth
    of_truth = (probabilities * (np.array(labels) == truth[:, None])).sum(axis=1)
    most_probable = np.array(labels)[probabilities.argmax(axis=1)]
    metrics = {
        "accuracy": float(right.mean()),
        "log_loss": float(-np.log(np.clip(of_truth, 1e-7, 1)).mean()),
        "calibration_error": calibration_error(probabilities.max(axis=1), most_probable == truth),
    }
    for index, label in enumerate(labels):
        true, given = truth == label, said == label
        if true.any():
            metrics[f"recall_{label}"] = float(right[true].mean())
            metrics[f"precision_{label}"] = float(right[given].mean()) if given.any() else 0.0
            metrics[f"pr_auc_{label}"] = average_precision(probabilities[:, index], true)
    return metrics


def average_precision(scores: np.ndarray, true: np.ndarray) -> float:
    """The area under the precision-recall curve, as average precision: 0–1.

    ``sum((R_n - R_(n-1)) P_n)`` over the distinct scores, from the highest (no interpolation,
    which flatters).

    Args:
        scores: ``float [N]``, higher where the label is more likely.
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


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error: how far the confidence is from the share that is right, 0–1.

    Over ten bins of equal width, weighted by their images (Guo et al. 2017, "On calibration of
    modern neural networks").

    Args:
        confidence: ``float [N]``: the highest probability of each image.
        right: ``bool [N]``: whether that label is true.
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(confidence[bins == n].sum() - right[bins == n].sum()) for n in range(BINS)]
    return float(sum(gaps) / len(right))


def wilson(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of a share by Wilson's score: at 95 % unless ``z`` is another.

    Unlike the usual ±, it stays within 0–1 and does not shrink to nothing at 0 and 1.

    >>> tuple(round(bound, 3) for bound in wilson(10, 10))
    (0.722, 1.0)
    """
    share, spread = right / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(values: np.ndarray, blocks: np.ndarray, seed: int = 0, draws: int = 2000):
    """The 95 % interval of a mean whose values are alike within a block, by drawing blocks.

    Args:
        values: ``float [N]``.
        blocks: ``[N]``: the block of each value. Of a single block there is no interval.
        seed: of the draws.
        draws: number of draws.

    Returns:
        (low, high), or None where there are fewer than two blocks.
    """
    names, numbers = np.unique(blocks, return_inverse=True)
    if len(names) < 2:
        return None
    sums, counts = np.bincount(numbers, values), np.bincount(numbers)
    drawn = np.random.default_rng(seed).integers(0, len(names), (draws, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
