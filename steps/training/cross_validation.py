"""Cross-validation of a head: what it predicts for each image, from others' blocks alone."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from steps.dataset.split import SplitRule
from steps.training.feature_cache import COPIES, Features
from steps.training.head import CONSTANT, PRIOR

FOLDS = 5


def cross_validate(features: Features, rule: SplitRule) -> NDArray[np.float64]:
    """Predict each image by a head that is fitted on the images of other blocks.

    The heads are those that a training approaches, found by scikit-learn's solver: a logistic
    regression with the same penalty, as if each image had its augmented copies.

    Args:
        features: of the images.
        rule: has the blocks of time, which fall into one fold as a whole, and the seed.

    Returns:
        ``float64 [N, classes]``: probabilities; 0 for a class that no other block has.
    """
    values, classes = features.values, features.classes
    blocks = [str(rule.block_of(*capture)) for capture in features.captures]
    found = np.zeros((len(classes), int(classes.max()) + 1))
    count = min(FOLDS, len(set(blocks)), int(np.bincount(classes).max()))
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=rule.seed)
    for fitted, held_out in folds.split(values, classes, blocks):
        if len(known := set(classes[fitted].tolist())) == 1:
            found[held_out, known.pop()] = 1
            continue
        mean = values[fitted].mean(axis=0)
        scale = 1 / np.maximum(values[fitted].std(axis=0), CONSTANT)
        # of two classes, only one has weights
        prior = PRIOR * (1 + COPIES) * (2 if len(known) == 2 else 1)
        solver = LogisticRegression(C=prior, class_weight="balanced", max_iter=500)
        solver.fit((values[fitted] - mean) * scale, classes[fitted])
        of_held_out = solver.predict_proba((values[held_out] - mean) * scale)
        found[np.ix_(held_out, solver.classes_)] = of_held_out
    return found


def log_loss(probabilities: NDArray[np.float64], classes: NDArray[np.int32]) -> float:
    """Return the mean log loss of probabilities ``[N, classes]``; 0 counts as 1e-7."""
    of_truth = probabilities[np.arange(len(classes)), classes]
    return float(-np.log(np.clip(of_truth, 1e-7, 1)).mean())
