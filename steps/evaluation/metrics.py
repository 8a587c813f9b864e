"""Metrics of predictions; nothing here knows of images or networks."""

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
        "log_loss": log_loss(of_truth),
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


def log_loss(of_truth: NDArray[np.floating[Any]]) -> float:
    """Return the mean log loss of the true labels' probabilities, ``[N]``; 0 counts as 1e-7."""
    return float(-np.log(np.clip(of_truth, 1e-7, 1)).mean())


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
