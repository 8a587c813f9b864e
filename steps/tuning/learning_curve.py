"""The learning curve: how accuracy grows with the number of labels, and whether more would help."""

import logging
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steps.dataset.selection import block_rule
from steps.dataset.split import SplitRule
from steps.evaluation.paired_counts import PairedCounts
from steps.training.cross_validation import cross_validate
from steps.training.feature_cache import REST, Features, read_features
from steps.tuning.contest import Entry

logger = logging.getLogger("steps")

SHARES = (0.25, 0.5, 1.0)
CONFIDENCE = 0.95


@dataclass(frozen=True)
class LearningCurve:
    """What heads find that learn from a part of the labels, by cross-validation.

    Attributes:
        classes: of the images, ``int [N]``.
        correct: by share of the labels, which images are found, ``bool [N]``.
    """

    classes: NDArray[np.int32]
    correct: dict[float, NDArray[np.bool_]]

    def recalls(self, share: float) -> list[float]:
        """Return how many images of each class are found, 0–1."""
        found = np.bincount(self.classes, self.correct[share])
        return list((found / np.bincount(self.classes)).tolist())

    @property
    def is_rising(self) -> bool:
        """Whether all labels find more images than half of them, and are shown to be better than
        a quarter, by a paired test."""
        quarter, half, every = self.correct.values()
        doubt = PairedCounts.of(every, quarter).chance_of_equals()
        return every.sum() > half.sum() and doubt <= 1 - CONFIDENCE

    def describe(self, labels: list[str]) -> str:
        """Return what the curve says of more labels, and of which class, in one sentence."""
        accuracies = ", ".join(f"{of.mean():.2f}" for of in self.correct.values())
        advice = "it is not shown that more labels like these would help"
        if self.is_rising:
            recall, worst = min(zip(self.recalls(1.0), labels, strict=True))
            most = f", above all of {worst} (recall {recall:.2f})" if recall < 1 else ""
            advice = f"more labels would help{most}"
        return f"accuracy with a quarter, half and all of the labels: {accuracies}; {advice}"


def find_learning_curve(entries: list[Entry]) -> LearningCurve | None:
    """Return the learning curve of the frozen network's head; None if no network is frozen."""
    frozen = next((one for one in entries if one.cache.has_features), None)
    if frozen is None:
        return None
    curve = learning_curve(read_features(frozen.cache, REST), block_rule(frozen.selection))
    logger.info(curve.describe(frozen.cache.labels))
    return curve


def learning_curve(features: Features, rule: SplitRule) -> LearningCurve:
    """Cross-validate heads that learn from a quarter, half and all of the labels.

    Args:
        features: of the images, a frozen network's.
        rule: has the blocks of time, which fall into one fold as a whole, and the seed.
    """
    correct = {}
    for share in SHARES:
        drawn = _draw(features.classes, share, rule.seed)
        found = cross_validate(features, rule, drawn)
        correct[share] = found.argmax(axis=1) == features.classes
    return LearningCurve(features.classes, correct)


def _draw(classes: NDArray[np.int32], share: float, seed: int) -> NDArray[np.bool_]:
    """Draw a share of each class's images at random; a larger share has those of a smaller one."""
    rng = np.random.default_rng(seed)
    drawn = np.zeros(len(classes), bool)
    for one in np.unique(classes):
        of_class = rng.permutation(np.flatnonzero(classes == one))
        drawn[of_class[: math.ceil(share * len(of_class))]] = True
    return drawn
