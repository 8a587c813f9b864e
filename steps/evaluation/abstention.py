"""Abstention: the score below which a model does not answer, so that its answers are rarely wrong.

The error among answered images is bounded as in "Learn then Test" (Angelopoulos et al. 2021): each
threshold is a hypothesis that more than the risk is wrong above it. Above the score of a fixed
rank, errors are binomial, whatever the network (Geifman and El-Yaniv 2017, "Selective
classification for deep neural networks"), which gives the p-value of Clopper and Pearson's bound.

Images count as independent, and as more often wrong at lower scores: what is true of a threshold is
true of each lower one. So by closed testing (Marcus, Peritz and Gabriel 1976), a threshold above
the surer half of the images is rejected with it, by four fifths of the doubt, or by itself, by one
fifth; from that half on downwards, each is tested with the whole doubt until one is not rejected.
"""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.inference.prediction import TINY, UNSURE, calibrate
from steps.dataset.cache import Cache
from steps.dataset.split import VALIDATION
from steps.evaluation.miss_rate import DOUBT
from steps.evaluation.predictions import Predictions, predict_by_keras
from steps.evaluation.threshold import Threshold

if TYPE_CHECKING:
    import keras

HALF = 0.8
"""The part of the doubt for the surer half: one mistake among the few surest images, such as a
wrong label, ends what begins with these."""

RANKS = 20
"""Tested from the half on, and up to it."""

TEMPERATURES = (0.25, 10.0)
"""A validation split without a mistake would ask for 0."""

CALIBRATING = 0.2
"""The share of the validation images that calibrate scores and choose between two labels, drawn by
their hashes. The others test thresholds, so that neither depends on what tests it."""

RIDGE = 0.1
"""Of the offsets' squares, against the log loss of all images: few images of a class say little."""


class Calibration(NamedTuple):
    """What is fitted so that a network's probabilities are calibrated.

    A network that learned from few images often takes one label for another much more often than
    the other way round. Its offsets make one of these labels less sure than the other.
    """

    temperature: float | None = None
    offsets: list[float] | None = None


class Abstention(NamedTuple):
    """What a wished risk gives, and the images by which it was found.

    Attributes:
        risk: how often an answer may be wrong, 0–1; 0: there is no wish.
        calibration: of the network's probabilities.
        threshold: the score below which it is unsure; None: no threshold keeps the risk.
        images: of the validation split, that tested thresholds.
        answered: those of them from the threshold on.
        errors: the wrong ones among the answered; without a threshold, among all.
    """

    risk: float = 0.0
    calibration: Calibration = Calibration()
    threshold: float | None = None
    images: int = 0
    answered: int = 0
    errors: int = 0

    def describe(self) -> str:
        """Return in one line what the wish gives."""
        if self.threshold is None:
            return (
                f"max_risk {self.risk:g}: no threshold keeps it with 95 % confidence, so the model "
                f"answers always: {self.errors} of {self.images} validation images are wrong, and "
                f"{fewest_answers(self.risk)} right answers are the least that can show it; add "
                "images, or set a higher max_risk"
            )
        return (
            f"at most {100 * self.risk:g} % of the answers are wrong, with 95 % confidence, from a "
            f"score of {self.threshold:.4g} on: {self.errors} of {self.answered} answers for "
            f"{self.images} validation images; below it the answer is {UNSURE}"
        )


def fewest_answers(risk: float, part: float = HALF) -> int:
    """Return how many answers, all of them right, can show a risk by a part of the doubt.

    >>> fewest_answers(0.02), fewest_answers(0.1)
    (160, 31)
    """
    return math.ceil(math.log(DOUBT * part) / math.log1p(-risk))


def fit_calibration(
    probabilities: NDArray[np.floating[Any]], truth: NDArray[np.intp]
) -> Calibration:
    """Return the calibration with which the log loss is lowest.

    Args:
        probabilities: ``float [N, classes]``.
        truth: the true class of each image, ``int [N]``.
    """
    from scipy.optimize import minimize

    def loss(values: NDArray[np.float64]) -> float:
        offsets = values[1:]
        found = calibrate(probabilities, math.exp(values[0]), offsets.tolist())
        likely = np.maximum(found[np.arange(len(truth)), truth], TINY)
        return float(-np.log(likely).sum() + RIDGE * (offsets**2).sum())

    classes = probabilities.shape[1]
    bounds = [tuple(map(math.log, TEMPERATURES)), *[(None, None)] * classes]
    temperature, *offsets = minimize(loss, np.zeros(1 + classes), bounds=bounds).x.tolist()
    return Calibration(math.exp(temperature), [round(offset, 4) for offset in offsets])


def scores_of(found: Predictions, calibration: Calibration) -> NDArray[np.floating[Any]]:
    """Return the score of each image, ``float [N]``: the probability of the predicted label."""
    calibrated = calibrate(found.probabilities, *calibration)
    return np.take_along_axis(calibrated, found.decided[:, None], axis=1)[:, 0]


def count_errors(
    scores: NDArray[np.floating[Any]], correct: NDArray[np.bool_]
) -> tuple[NDArray[np.floating[Any]], NDArray[np.intp], NDArray[np.intp]]:
    """Return each distinct score, highest first, and how many images and errors are from it on.

    Args:
        scores: of the images, ``float [N]``.
        correct: whether they are predicted correctly, ``bool [N]``.
    """
    order = np.argsort(-scores, kind="stable")
    scores, errors = scores[order], np.cumsum(~correct[order], dtype=np.intp)
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    return scores[last], last + 1, errors[last]


def bound_risk(
    risk: float, scores: NDArray[np.floating[Any]], correct: NDArray[np.bool_]
) -> tuple[float, int, int] | None:
    """Return the lowest threshold that keeps a risk with 95 % confidence, or None.

    Args:
        risk: how often an answer may be wrong, 0–1.
        scores, correct: of images that the network was not fitted on, as :func:`count_errors`.

    Returns:
        The threshold, and how many of the images are answered, and of these wrong.
    """
    from scipy.special import bdtr

    distinct, answered, errors = count_errors(scores, correct)
    chances = bdtr(errors, answered, risk)
    half, lowest = max(fewest_answers(risk), math.ceil(len(scores) / 2)), -1
    if half > len(scores):
        return None
    ranks = np.linspace(half, len(scores), RANKS)
    if chances[np.searchsorted(answered, half)] > DOUBT * HALF:
        first = min(half, fewest_answers(risk, 1 - HALF))
        ranks = np.concatenate([np.linspace(first, half, RANKS), ranks])
    for rank in ranks.astype(int):
        place = int(np.searchsorted(answered, rank))  # equal scores are answered together
        if chances[place] > DOUBT * (1 if rank >= half else 1 - HALF):
            break
        lowest = place
    if lowest < 0:
        return None
    # halfway to the next score, so that rounding moves no image across it
    below = distinct[lowest + 1] if lowest + 1 < len(distinct) else 0.0
    value = float(distinct[lowest] + below) / 2
    return value, int(answered[lowest]), int(errors[lowest])


def find_abstention(
    risk: float, model: "keras.Model", cache: Cache, threshold: Threshold
) -> Abstention:
    """Return the calibration and the threshold that a wished risk asks for, by validation images.

    Args:
        risk: how often an answer may be wrong, 0–1; 0: there is no wish.
        model: trained on the training split.
        cache: the images.
        threshold: decides on the label, as without abstention.
    """
    if not risk:
        return Abstention()
    held_out = predict_by_keras(model, cache, VALIDATION)
    held_out = replace(held_out, threshold=threshold.value, threshold_label=threshold.label)
    return abstain(risk, held_out)


def abstain(risk: float, held_out: Predictions) -> Abstention:
    """Return what a wished risk gives by the predictions for images that no weights were fitted on.

    A threshold of a label that must not be missed was chosen by the images that test, too.
    """
    truth = np.array([held_out.labels.index(label) for label in held_out.truth])
    calibrates = np.arange(len(held_out)) < CALIBRATING * len(held_out)  # they are in hash order
    calibration = fit_calibration(held_out.probabilities[calibrates], truth[calibrates])
    tests = held_out.subset(~calibrates)
    found = bound_risk(risk, scores_of(tests, calibration), tests.correct)
    if found is None:
        errors = int((~tests.correct).sum())
        return Abstention(risk, Calibration(), None, len(tests), len(tests), errors)
    return Abstention(risk, calibration, found[0], len(tests), *found[1:])
