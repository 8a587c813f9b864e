"""A first model against guesses."""

import numpy as np
import pytest

from steps.evaluation.guessing import compare_to_guesses
from steps.evaluation.paired_counts import PairedCounts


@pytest.mark.parametrize(
    ("confusion", "counts", "missed"),
    [
        ([[18, 2], [1, 9]], (30, 2, 9), []),
        ([[20, 0], [10, 0]], (30, 0, 0), ["crack"]),
        ([[0, 20], [0, 10]], (30, 20, 10), ["fine"]),
        ([[2, 0], [2, 0]], (4, 0, 0), []),  # of two images, none found says nothing
        ([[5, 0], [0, 0]], (5, 0, 0), []),  # nor does a label that no image has
    ],
)
def test_a_confusion_says_what_the_most_frequent_label_alone_would_get_right(
    confusion, counts, missed
):
    found = compare_to_guesses(["fine", "crack"], np.array(confusion), confidence=0.95)
    assert found.majority == PairedCounts(*counts)
    assert found.missed == missed


def test_a_blind_guess_is_among_all_labels():
    """Of five labels a blind guess finds a fifth: three of 20 may be chance, none is not."""
    confusion = np.full((5, 5), 4)
    confusion[0] = [0, 20, 0, 0, 0]
    confusion[1] = [17, 3, 0, 0, 0]
    labels = list("abcde")
    assert compare_to_guesses(labels, confusion, confidence=0.95).missed == ["a"]
