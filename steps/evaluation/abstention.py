"""Abstention: the score below which a model does not answer, so that its answers are rarely wrong.

The error among answered images is bounded as in "Learn then Test" (Angelopoulos et al. 2021): each
threshold is a hypothesis that more than the risk is wrong above it, and thresholds are tested in an
order that is fixed beforehand until one is not rejected. Above the score of a fixed rank, errors
are binomial, whatever the network (Geifman and El-Yaniv 2017, "Selective classification for deep
neural networks"), which gives the p-value of Clopper and Pearson's bound. Images count as
independent, and as more often wrong at lower scores.
"""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.inference.record import TINY, UNSURE, calibrate
from steps.dataset.cache import Cache
from steps.dataset.split import VALIDATION
from steps.errors import UserError
from steps.evaluation.miss_rate import DOUBT, Threshold
from steps.evaluation.predictions import Predictions, predict_by_keras

if TYPE_CHECKING:
    import keras

STARTS = {0.0: 0.8, 0.5: 0.2}
"""Shares of the images from whose ranks thresholds are tested, and each start's part of the doubt.
One mistake among the few surest images, such as a wrong label, would end a single sequence."""

RANKS = 20
"""Tested from each start on."""

TEMPERATURES = (0.25, 10.0)
"""A validation split without a mistake would ask for 0."""


class Abstention(NamedTuple):
    """What a wished risk gives, and the images by which it was found.

    Attributes:
        risk: how often an answer may be wrong, 0–1; 0: there is no wish.
        temperature: of the network; None without a wish.
        threshold: the score below which it is unsure; None: no threshold keeps the risk.
        images: of the validation split.
        answered: those of them from the threshold on.
        errors: the wrong ones among the answered; without a threshold, among all.
    """

    risk: float = 0.0
    temperature: float | None = None
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


def fewest_answers(risk: float) -> int:
    """Return how many answers, all of them right, can show a risk.

    >>> fewest_answers(0.02), fewest_answers(0.1)
    (160, 31)
    """
    return math.ceil(math.log(DOUBT * STARTS[0.0]) / math.log1p(-risk))


def fit_temperature(probabilities: NDArray[np.floating[Any]], truth: NDArray[np.intp]) -> float:
    """Return the temperature with which the log loss is lowest.

    Args:
        probabilities: ``float [N, classes]``.
        truth: the true class of each image, ``int [N]``.
    """
    from scipy.optimize import minimize_scalar

    def loss(exponent: float) -> float:
        found = calibrate(probabilities, math.exp(exponent))[np.arange(len(truth)), truth]
        return float(-np.log(np.maximum(found, TINY)).mean())

    bounds = [math.log(bound) for bound in TEMPERATURES]
    return math.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x)


def scores_of(found: Predictions, temperature: float | None) -> NDArray[np.floating[Any]]:
    """Return the score of each image, ``float [N]``: the probability of the predicted label."""
    calibrated = calibrate(found.probabilities, temperature)
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
    fewest, lowest = fewest_answers(risk), -1
    for share, part in STARTS.items():
        start = max(fewest, math.ceil(share * len(scores)))
        if start > len(scores):
            break
        for rank in np.linspace(start, len(scores), RANKS).astype(int):
            place = int(np.searchsorted(answered, rank))  # equal scores are answered together
            if chances[place] > DOUBT * part:
                break
            lowest = max(lowest, place)
    if lowest < 0:
        return None
    # halfway to the next score, so that rounding moves no image across it
    below = distinct[lowest + 1] if lowest + 1 < len(distinct) else 0.0
    value = float(distinct[lowest] + below) / 2
    return value, int(answered[lowest]), int(errors[lowest])


def find_abstention(
    risk: float, model: "keras.Model", cache: Cache, threshold: Threshold
) -> Abstention:
    """Return the temperature and the threshold that a wished risk asks for, by validation images.

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
    """Return what a wished risk gives by the predictions for images that no fit has seen."""
    truth = np.array([held_out.labels.index(label) for label in held_out.truth])
    temperature = fit_temperature(held_out.probabilities, truth)
    found = bound_risk(risk, scores_of(held_out, temperature), held_out.correct)
    if found is None:
        errors = int((~held_out.correct).sum())
        return Abstention(risk, None, None, len(held_out), len(held_out), errors)
    return Abstention(risk, temperature, found[0], len(held_out), *found[1:])


def require_no_unsure(risk: float, labels: list[str]) -> None:
    """Raise an error if a risk is wished and a label has the name of the answer below it."""
    if risk and UNSURE in labels:
        raise UserError(
            f"max_risk: the label {UNSURE!r} is what a model answers that is not sure enough; "
            "give that label another name"
        )
