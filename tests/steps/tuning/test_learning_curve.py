"""What a learning curve says of more labels."""

import numpy as np
import pytest

from steps.dataset.split import SplitRule
from steps.training.feature_cache import Features
from steps.tuning.learning_curve import learning_curve

LABELS = ["a", "b", "c"]


def _features(images: int, distance: float, seed: int) -> Features:
    """Noise in 200 features; the classes lie apart, c the least."""
    rng = np.random.default_rng(seed)
    classes = (np.arange(images) % 3).astype(np.int32)
    values = rng.normal(size=(images, 200)).astype(np.float32)
    values[:, :20] += distance * (classes == 0)[:, None] - distance * (classes == 1)[:, None]
    values[:, 20:40] += 0.9 * distance * (classes == 2)[:, None]
    return Features(values, classes, [(None, None, f"{n:064x}") for n in range(images)])


def test_where_labels_are_few_more_would_help():
    curve = learning_curve(_features(150, 0.8, seed=0), SplitRule())
    accuracies = [of.mean() for of in curve.correct.values()]
    assert accuracies[0] < accuracies[1] < accuracies[2] < 0.99
    assert curve.is_rising
    worst = LABELS[int(np.argmin(curve.recalls(1.0)))]
    assert f"more labels would help, above all of {worst} (recall 0." in curve.describe(LABELS)


@pytest.mark.parametrize("distance", [3.0, 0.0], ids=["found by few", "never found"])
def test_where_they_are_enough_or_say_nothing_more_would_help_little(distance):
    curve = learning_curve(_features(150, distance, seed=1), SplitRule())
    assert not curve.is_rising
    assert "it is not shown that more labels like these would help" in curve.describe(LABELS)


@pytest.mark.parametrize("images", [4, 6])
def test_a_few_images_have_a_curve_too(images):
    curve = learning_curve(_features(images, 1.0, seed=2), SplitRule())
    assert all(len(curve.recalls(share)) == 3 for share in curve.correct)
    assert not curve.is_rising


def test_a_share_has_the_labels_of_smaller_shares_and_the_seed_draws_them():
    features = _features(90, 0.3, seed=3)
    first, again = (learning_curve(features, SplitRule(seed=4)) for _ in range(2))
    other = learning_curve(features, SplitRule(seed=5))
    for share in first.correct:
        np.testing.assert_array_equal(first.correct[share], again.correct[share])
    assert any((first.correct[share] != other.correct[share]).any() for share in first.correct)
