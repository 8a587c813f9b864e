"""How well a label is predicted from what is not the object, on images held out in turn."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steps.audit.images import CUES
from steps.training.cross_validation import FOLDS

PERMUTATIONS = 999
PRUNING = 0.01
"""The least impurity that a branch has to take away, in trees of what is measured. A name of few
images, such as one day of many, takes away less and is no noise."""
MOST_PROBABLE = 0.002
"""The p-value up to which a cue is no chance: with ten cues, 2 % of clean sets have one by it."""

CATEGORIES = ("day", "hour", "device", "file name")
"""Cues that are names: if most images have one of their own, it predicts nothing. The label of a
day or a device is a fact of the set itself, so images are held out one by one. Other cues are alike
in neighbouring frames, so hours are held out."""

INVISIBLE = ("file name", "area outside the region")
"""Cues that no network can see: they only say where the images are from."""


@dataclass(frozen=True)
class Cue:
    """What one kind of knowledge says about the label.

    Attributes:
        kind: one of ``CUES``.
        predictability: balanced accuracy (the mean of the labels' recalls) of a decision tree that
            knows nothing but the cue, on images held out in turn, 0–1.
        chance: that of guessing, 0–1.
        p_value: how often labels that are shuffled are predicted as well.
        predicted: the label that it predicts for each image, by SHA-256.
        values: of a category, the values of each label's images, most frequent first.
    """

    kind: str
    predictability: float
    chance: float
    p_value: float
    predicted: "pd.Series[str]"
    values: dict[str, list[str]]

    @property
    def is_shortcut(self) -> bool:
        """Whether it predicts labels at least half-way from guessing to certainty, by no chance."""
        halfway = (1 + self.chance) / 2
        certain = self.p_value <= MOST_PROBABLE
        return certain and self.predictability >= halfway and self.kind not in INVISIBLE

    @property
    def sentence(self) -> str:
        """What a shortcut says, for the report."""
        values = [value for of_label in self.values.values() for value in of_label]
        if not values or len(values) > len(set(values)):
            share = f"{self.predictability:.0%}"
            return f"By the {self.kind} alone, {share} of the labels are predicted (their mean)."
        listed = {label: _listed(of_label) for label, of_label in self.values.items()}
        each = " and ".join(f"every {label} is from {where}" for label, where in listed.items())
        return f"Label and {self.kind} coincide: {each}."


def find_cues(images: pd.DataFrame) -> list[Cue]:
    """Return the cues that differ between images, the most predictive first.

    Args:
        images: as :func:`steps.audit.images.describe_images` returns them.
    """
    truth, labels = pd.factorize(images["label"], sort=True)
    by_image, by_block = _folds(truth, None), _folds(truth, pd.factorize(images["block"])[0])
    found = []
    for kind, columns in CUES.items():
        values = np.column_stack([_numbers(images[column]) for column in columns])
        values = values[:, [np.unique(column).size > 1 for column in values.T]]
        names = kind in CATEGORIES
        folds = by_image if names else by_block
        if not values.size or not folds or (names and _is_identifier(values)):
            continue
        predicted = _predict(values, truth, folds, 0 if names else PRUNING)
        score, p_value = _test(truth, predicted)
        by_cue = pd.Series(labels[predicted], index=images["sha256"])
        of_label = _values(images, columns[0]) if names else {}
        found.append(Cue(kind, score, 1 / len(labels), p_value, by_cue, of_label))
    return sorted(found, key=lambda cue: -cue.predictability)


def _numbers(column: "pd.Series[Any]") -> NDArray[np.float64]:
    """Return a column as numbers: names by their order; what is not known is -1."""
    if pd.api.types.is_numeric_dtype(column):
        return np.asarray(column.fillna(-1), np.float64)
    return np.asarray(pd.factorize(column, sort=True)[0], np.float64)


def _is_identifier(values: NDArray[np.float64]) -> bool:
    return bool(np.unique(values).size > len(values) / 5)


def _folds(
    truth: NDArray[np.int_], blocks: NDArray[np.int_] | None
) -> list[tuple[NDArray[np.int_], NDArray[np.int_]]]:
    """Return rows to learn from and rows to predict; none if there are too few to hold out."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    common = int(np.bincount(truth).max())
    folds = min(FOLDS, common, common if blocks is None else np.unique(blocks).size)
    if folds < 2:
        return []
    kind = StratifiedKFold if blocks is None else StratifiedGroupKFold
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of rare labels
        return list(kind(folds, shuffle=True, random_state=0).split(truth, truth, blocks))


def _predict(
    values: NDArray[np.float64],
    truth: NDArray[np.int_],
    folds: list[tuple[NDArray[np.int_], NDArray[np.int_]]],
    pruning: float,
) -> NDArray[np.int_]:
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(
        min_samples_leaf=2, class_weight="balanced", ccp_alpha=pruning, random_state=0
    )
    predicted = np.empty_like(truth)
    for known, held_out in folds:
        predicted[held_out] = tree.fit(values[known], truth[known]).predict(values[held_out])
    return predicted


def _test(truth: NDArray[np.int_], predicted: NDArray[np.int_]) -> tuple[float, float]:
    """Return the balanced accuracy, and its p-value by shuffling the labels."""
    counts = np.bincount(truth)
    weights = 1 / (counts[truth] * len(counts))

    def score(order: NDArray[np.int_]) -> float:
        return float(weights[order] @ (truth[order] == predicted))

    shuffled = [score(order) for order in _orders(len(truth))]
    found = score(np.arange(len(truth)))
    as_good = sum(one >= found - 1e-9 for one in shuffled)
    return found, (1 + as_good) / (1 + PERMUTATIONS)


def _orders(count: int) -> Iterator[NDArray[np.int_]]:
    rng = np.random.default_rng(0)
    return (rng.permutation(count) for _ in range(PERMUTATIONS))


def _values(images: pd.DataFrame, column: str) -> dict[str, list[str]]:
    by_label = images.groupby("label")[column]
    return {str(label): [str(v) for v in of.value_counts().index] for label, of in by_label}


def _listed(values: list[str]) -> str:
    return ", ".join(values[:3]) + (f" and {len(values) - 3} more" if len(values) > 3 else "")
