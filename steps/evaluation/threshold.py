"""The threshold of a network, chosen on images that it was not fitted on."""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steps.dataset.cache import Cache
from steps.dataset.selection import block_rule
from steps.dataset.split import TRAIN, VALIDATION
from steps.evaluation.miss_rate import misses_allowed, parse_wish
from steps.evaluation.predictions import Predictions, predict_by_keras
from steps.pipeline.outputs import Selection
from steps.training.cross_validation import cross_validate
from steps.training.feature_cache import REST, read_features

if TYPE_CHECKING:
    import keras

DEFAULT = 0.5


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
