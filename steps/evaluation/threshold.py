"""The threshold of a network with two labels, chosen on the validation split."""

import math

import numpy as np

from steps.evaluation.predictions import Predictions

DEFAULT = 0.5


def choose_threshold(validation: Predictions) -> float:
    """Return the probability from which the second label is predicted.

    Of all thresholds whose balanced accuracy (the mean of the two recalls) is within one standard
    error of the best, take the nearest to one half: the one-standard-error rule (Breiman et al.
    1984), since a small validation split says little about the second decimal. Thresholds lie
    halfway between neighbouring probabilities.

    Args:
        validation: of two labels.
    """
    second = validation.probabilities[:, 1].astype(float)
    true = validation.truth == validation.labels[1]
    if true.all() or not true.any():
        return DEFAULT
    distinct = np.unique(second)
    candidates = np.append((distinct[1:] + distinct[:-1]) / 2, DEFAULT)
    predicted = second[None] >= candidates[:, None]
    recalls = np.stack([predicted[:, true].mean(axis=1), (~predicted[:, ~true]).mean(axis=1)])
    balanced = recalls.mean(axis=0)
    best = int(balanced.argmax())
    counts = np.array([true.sum(), (~true).sum()])
    # a recall of 1 or 0 has an error too, as if there were one more correct and one more wrong
    shares = (recalls[:, best] * counts + 1) / (counts + 2)
    error = math.sqrt((shares * (1 - shares) / counts).sum()) / 2
    good = candidates[balanced >= balanced[best] - error]
    return float(good[np.abs(good - DEFAULT).argmin()])
