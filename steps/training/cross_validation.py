"""Cross-validation of a head: what it predicts for each image, from others' blocks alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steps.dataset.split import SplitRule
from steps.training.feature_cache import COPIES, Features
from steps.training.head import CONSTANT, PRIOR

FOLDS = 5


def cross_validate(
    features: Features, rule: SplitRule, drawn: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Predict each image by a head that is fitted on the images of other blocks.

    The heads are those that a training approaches, found by scikit-learn's solver: a logistic
    regression with the same penalty, as if each image had its augmented copies.

    Args:
        features: of the images.
        rule: has the blocks of time, which fall into one fold as a whole, and the seed. If all
            images are of one block, each is its own.
        drawn: the images whose labels may be learned from, ``bool [N]``; None: all.

    Returns:
        ``float64 [N, classes]``: probabilities; 0 for a class that no other block has.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # it takes half a second

    values, classes = features.values, features.classes
    blocks = [str(rule.block_of(*capture)) for capture in features.captures]
    if len(set(blocks)) == 1:  # a set that brings its splits may be of one hour
        blocks = [sha256 for _, _, sha256 in features.captures]
    found = np.zeros((len(classes), int(classes.max()) + 1))
    count = min(FOLDS, len(set(blocks)), int(np.bincount(classes).max()))
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=rule.seed)
    for fitted, held_out in folds.split(values, classes, blocks):
        known = fitted if drawn is None else fitted[drawn[fitted]]
        found[held_out] = predict_by_others(values, classes, known, held_out, found.shape[1])
    return found


def predict_by_others(
    values: NDArray[np.float32],
    classes: NDArray[np.integer[Any]],
    fitted: NDArray[np.intp],
    held_out: NDArray[np.intp],
    count: int,
) -> NDArray[np.float64]:
    """Predict held-out images by a head that is fitted on the others.

    Args:
        values: features of all images, ``float32 [N, features]``.
        classes: ``int [N]``.
        fitted: the indices of those that it is fitted on.
        held_out: the indices of those that it predicts.
        count: of classes.

    Returns:
        ``float64 [held out, count]``: probabilities; 0 for a class that no fitted image has.
    """
    from sklearn.linear_model import LogisticRegression

    found = np.zeros((len(held_out), count))
    known = np.unique(classes[fitted])
    if len(known) < 2:
        found[:, known] = 1
        return found
    mean = values[fitted].mean(axis=0)
    scale = 1 / np.maximum(values[fitted].std(axis=0), CONSTANT)
    # of two classes, only one has weights
    prior = PRIOR * (1 + COPIES) * (2 if len(known) == 2 else 1)
    solver = LogisticRegression(C=prior, class_weight="balanced", max_iter=500)
    solver.fit((values[fitted] - mean) * scale, classes[fitted])
    found[:, known] = solver.predict_proba((values[held_out] - mean) * scale)
    return found
