"""A first model against guesses: the most frequent label, and a blind draw of labels."""

import math
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from steps.evaluation.intervals import wilson
from steps.evaluation.paired_counts import PairedCounts


@dataclass(frozen=True)
class Guessing:
    """How a first model compares with guesses on its test images.

    Attributes:
        majority: the discordant pairs with a rule that always answers the most frequent label, in
            place of the champion.
        missed: the labels whose recall is below that of a blind guess, as sure as the rules ask.
    """

    majority: PairedCounts
    missed: list[str] = field(default_factory=list)


def compare_to_guesses(
    labels: list[str], confusion: NDArray[np.int_], confidence: float
) -> Guessing:
    """Count where a model and its most frequent label differ, and find the labels it misses.

    Args:
        labels: class names.
        confusion: images by true label (rows) and predicted label.
        confidence: that a label's recall is below that of a blind guess, as one-sided.
    """
    counts, found = confusion.sum(axis=1).tolist(), confusion.diagonal().tolist()
    frequent, sure = counts.index(max(counts)), NormalDist().inv_cdf(confidence)
    majority = PairedCounts(
        images=sum(counts),
        only_champion=counts[frequent] - found[frequent],
        only_challenger=sum(found) - found[frequent],
    )
    missed = [
        label
        for label, count, right in zip(labels, counts, found, strict=True)
        if count and wilson(right, count, sure)[1] < 1 / len(labels)
    ]
    return Guessing(majority, missed)


def others_needed(confidence: float) -> int:
    """Return how many images of other labels than the most frequent can show that a first model is
    better than always answering that one, if all are correct.

    >>> others_needed(0.95)
    5
    """
    return math.ceil(math.log2(1 / (1 - confidence)))


def guessing_errors(guessing: Guessing, confidence: float) -> tuple[list[str], int | None]:
    """Return why a first model may be no better than guesses, and the images needed."""
    counts, errors, needed = guessing.majority, [], None
    if counts.chance_of_equals() > 1 - confidence:
        errors.append(
            f"it is not shown at {confidence:.0%} confidence to be better than always "
            f"answering the most frequent label: of {counts.images} test images, it alone is "
            f"correct on {counts.only_challenger} and that alone on {counts.only_champion}"
        )
        # with none of its own mistakes, more images would show it
        least = others_needed(confidence)
        if not counts.only_champion and counts.only_challenger:
            needed = math.ceil(counts.images * least / counts.only_challenger)
    chance = f"of {', '.join(guessing.missed)} it finds fewer images than a blind guess"
    return errors + [chance] * bool(guessing.missed), needed
