"""The threshold of a network with two labels, chosen on the validation part."""

import math

import numpy as np

from steps.evaluation.predictions import Evaluation

USUAL = 0.5


def choose_threshold(validation: Evaluation) -> float | None:
    """The probability of the second label from which on it is said.

    Of all thresholds whose balanced accuracy (the mean of the two recalls) is within one standard
    error of the best one's, the nearest to one half: the one-standard-error rule (Breiman et al.
    1984), since a small validation part says little about the second decimal. Thresholds lie
    halfway between neighbouring probabilities.

    Returns:
        0–1; None where there are more than two labels.
    """
    if len(validation.labels) != 2:
        return None
    second, true = validation.probabilities[:, 1].astype(float), validation.classes == 1
    if true.all() or not true.any():
        return USUAL
    steps = np.unique(second)
    candidates = np.append((steps[1:] + steps[:-1]) / 2, USUAL)
    said = second[None] >= candidates[:, None]
    recalls = np.stack([said[:, true].mean(axis=1), (~said[:, ~true]).mean(axis=1)])
    reached = recalls.mean(axis=0)
    best = int(reached.argmax())
    counts = np.array([true.sum(), (~true).sum()])
    # a recall of 1 or 0 has an error too: one image more and one less than were seen
    shares = (recalls[:, best] * counts + 1) / (counts + 2)
    error = math.sqrt((shares * (1 - shares) / counts).sum()) / 2
    good = candidates[reached >= reached[best] - error]
    return float(good[np.abs(good - USUAL).argmin()])
