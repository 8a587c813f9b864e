"""What a model predicts: by its probabilities, calibrated, with a threshold, or unsure."""

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

UNSURE = "unsure"
"""The answer of a model whose score is below its record's abstention threshold."""

TINY = 1e-12
"""A probability below it counts as this much where its logarithm is taken."""


class Prediction(NamedTuple):
    """What a model predicts for one image.

    Attributes:
        label: the class that the record decides on, or :data:`UNSURE`.
        score: the probability of that class, 0–1; if unsure, of the one that it would be.
        probabilities: of each label, in the record's order.
        latency_ms: milliseconds for preparing and scoring; 0 if nobody measured them.
    """

    label: str
    score: float
    probabilities: dict[str, float]
    latency_ms: float = 0.0


def calibrate(
    probabilities: NDArray[np.floating[Any]],
    temperature: float | None,
    offsets: list[float] | None = None,
) -> NDArray[np.floating[Any]]:
    """Return probabilities ``[N, classes]`` as if logits were divided by a temperature, and moved.

    Guo et al. 2017, "On calibration of modern neural networks"; with offsets, Alexandari, Kundaje
    and Shrikumar 2020, "Maximum likelihood with bias-corrected calibration is hard-to-beat".

    Args:
        probabilities: a network's output.
        temperature: above 0; None: 1.
        offsets: that are added to the logits of each class; None: 0.

    >>> calibrate(np.array([[0.9, 0.1]]), 2.0).round(3).tolist()
    [[0.75, 0.25]]
    """
    if temperature is None and offsets is None:
        return probabilities
    scaled = np.log(np.maximum(probabilities.astype(float), TINY)) / (temperature or 1)
    scaled += 0 if offsets is None else np.array(offsets)
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return cast(NDArray[np.floating[Any]], powers / powers.sum(axis=1, keepdims=True))


def decide(
    probabilities: NDArray[np.floating[Any]],
    labels: list[str],
    threshold: float | None,
    threshold_label: str | None = None,
) -> NDArray[np.integer[Any]]:
    """Return the class of each image, ``int [N]``, by its probabilities ``[N, classes]``.

    The most probable one; with a threshold, its class if that reaches it, or else the most probable
    of the others.

    Args:
        probabilities: a network's output.
        labels: the class names in the order of the columns.
        threshold: 0–1, or None.
        threshold_label: the class that the threshold is for; None: the second of two.
    """
    if threshold is None:
        return cast(NDArray[np.integer[Any]], probabilities.argmax(axis=1))
    index = labels.index(threshold_label) if threshold_label else 1
    others = probabilities.copy()
    others[:, index] = -1
    return np.where(probabilities[:, index] >= threshold, index, others.argmax(axis=1))
