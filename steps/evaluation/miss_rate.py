"""The threshold with which a label is missed at most as often as a user wishes."""

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from steps.dataset.cache import Cache
from steps.dataset.selection import block_rule
from steps.dataset.split import TRAIN, VALIDATION
from steps.errors import RunAgain, UserError
from steps.evaluation.predictions import predict_by_keras
from steps.evaluation.threshold import DEFAULT, choose_threshold
from steps.ingestion.label_text import normalize_label
from steps.pipeline.outputs import Selection
from steps.settings.validation_errors import did_you_mean
from steps.training.cross_validation import cross_validate
from steps.training.feature_cache import REST, read_features

if TYPE_CHECKING:
    import keras

DOUBT = 0.05
"""How likely the label is missed more often than wished: confidence is the rest."""


def parse_wish(text: str) -> tuple[str, float]:
    """Return the label and the rate of a wish such as ``crack=0.01``.

    >>> parse_wish("R&D = 0.01")
    ('R&D', 0.01)
    """
    label, _, rate = text.rpartition("=")
    with suppress(ValueError):
        if (label := normalize_label(label) or "") and 0 < float(rate) < 1:
            return label, float(rate)
    raise ValueError(f"{text!r} is not a label with a rate between 0 and 1, such as crack=0.01")


Wish = Annotated[str, AfterValidator(lambda text: text and "{}={}".format(*parse_wish(text)))]
"""How often which label may be missed, such as ``crack=0.01``; or empty."""


class Threshold(NamedTuple):
    """A threshold, and the images by which a wish has chosen it.

    Attributes:
        value: a probability; None: the most probable label is predicted.
        label: what is predicted from there on, by a wish; None: the second of two.
        rate: how often that may be missed, 0–1.
        images: of that label, none of which the network that predicted them was fitted on.
        misses: those of them below the threshold.
    """

    value: float | None = None
    label: str | None = None
    rate: float = 1.0
    images: int = 0
    misses: int = 0


def misses_allowed(images: int, rate: float) -> int:
    """Return how many of a label's images may be below a threshold that keeps a rate.

    The largest k with P(Binomial(images, rate) ≤ k) ≤ 5 %: an order statistic as a tolerance limit,
    whatever the distribution of the scores (Wilks 1941, "Determination of sample sizes for setting
    tolerance limits"). It takes the images as independent.

    Returns:
        -1 if there are too few images to show the rate.

    >>> misses_allowed(298, 0.01), misses_allowed(299, 0.01), misses_allowed(1000, 0.01)
    (-1, 0, 4)
    """
    from scipy.special import bdtr

    return int((bdtr(np.arange(images), images, rate) <= DOUBT).sum()) - 1


def bound_misses(
    wish: str, labels: list[str], found: NDArray[np.floating[Any]], truth: NDArray[np.str_]
) -> Threshold:
    """Return the highest threshold that keeps a wish with 95 % confidence, up to one half.

    From there on the label is the most probable one anyway.

    Args:
        wish: how often which label may be missed; :func:`require_images` has accepted it.
        labels: class names in the order of the columns.
        found: probabilities ``float [N, classes]``, by a network that was fitted on other images.
        truth: their labels, ``str [N]``.
    """
    label, rate = parse_wish(wish)
    scores = found[:, labels.index(label)]
    own = scores[truth == label]
    lowest = np.sort(own)[misses_allowed(len(own), rate)]
    # halfway to the next score, of whichever label, so that rounding moves no image across it
    value = min(DEFAULT, float(lowest + scores[scores < lowest].max(initial=0)) / 2)
    return Threshold(value, label, rate, len(own), int((own < value).sum()))


def require_images(wish: str, counts: Mapping[str, int], is_split: bool = True) -> None:
    """Raise an error if a wish is for an unknown label, or for one with too few images to show it.

    Args:
        wish: how often which label may be missed; empty: there is none.
        counts: by label, the images that can decide about a threshold.
        is_split: whether they all will; else some of them test.
    """
    if not wish:
        return
    label, rate = parse_wish(wish)
    if label not in counts:
        known = f"{did_you_mean(label, counts)}the labels are {', '.join(counts)}"
        raise UserError(f"max_miss_rate: no image has the label {label!r}; {known}")
    images, needed = counts[label], math.ceil(math.log(DOUBT) / math.log1p(-rate))
    if images < needed:
        shown = math.ceil(1000 - 1000 * DOUBT ** (1 / max(images, 1))) / 1000
        raise UserError(
            f"max_miss_rate {wish} needs {needed} images of {label} to choose a threshold by, and "
            f"{images} can show {shown} at best; label more, or set a higher rate",
            RunAgain({"max_miss_rate": f"{label}={shown}"}) if is_split else None,
        )


def count_unseen(cache: Cache, is_frozen: bool) -> dict[str, int]:
    """Return by label how many images can decide about a threshold."""
    splits = (TRAIN, VALIDATION) if is_frozen else (VALIDATION,)
    return {label: sum(cache.counts[s].get(label, 0) for s in splits) for label in cache.labels}


def find_threshold(
    wish: str,
    model: "keras.Model",
    cache: Cache,
    learned: Cache,
    selection: Selection,
    share: float = 1.0,
) -> Threshold:
    """Return the threshold that a wish asks for, or the best of two labels.

    It is chosen by images that the network was not fitted on: the validation split or, for a wish
    and a frozen network, all of the rest, since its head is fitted again without each fold of them.

    Args:
        wish: how often which label may be missed, or empty.
        model: trained on the training split.
        cache: the images.
        learned: what the network has learned from: them, or a frozen network's features.
        selection: has the blocks of time.
        share: of the validation images, that choose if there is no wish: the first by their hashes.
    """
    if wish and learned.has_features:
        features = read_features(learned, REST)
        truth = np.array(cache.labels)[features.classes]
        found = cross_validate(features, block_rule(selection))
        return bound_misses(wish, cache.labels, found, truth)
    if not wish and len(cache.labels) != 2:  # nothing is predicted for it
        return Threshold()
    held_out = predict_by_keras(model, cache, VALIDATION)
    if wish:
        return bound_misses(wish, cache.labels, held_out.probabilities, held_out.truth)
    chooses = np.arange(len(held_out)) < share * len(held_out)
    return Threshold(choose_threshold(held_out.subset(chooses)))
