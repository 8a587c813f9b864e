"""Cross-validation predicts each image from other blocks alone."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from steps.dataset.split import SplitRule
from steps.training.cross_validation import cross_validate
from steps.training.feature_cache import Features

START = datetime(2026, 7, 1, tzinfo=UTC)


def _features(values: np.ndarray, classes: np.ndarray, hours: np.ndarray | None) -> Features:
    times = [
        None if hours is None else START + timedelta(hours=int(hours[n]))
        for n in range(len(classes))
    ]
    captures = [(time, "3", f"{number:064x}") for number, time in enumerate(times)]
    return Features(values.astype(np.float32), classes.astype(np.int32), captures)


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("is_timed", [True, False])
def test_what_features_show_is_found(labels, is_timed):
    rng = np.random.default_rng(0)
    classes = np.arange(120) % labels
    values = rng.normal(size=(120, 30))
    values[:, :labels] += 4 * np.eye(labels)[classes]
    features = _features(values, classes, np.arange(120) // 4 if is_timed else None)
    found = cross_validate(features, SplitRule())
    assert found.shape == (120, labels)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert (found.argmax(axis=1) == classes).mean() > 0.9
    assert -np.log(found[np.arange(120), classes]).mean() < 0.5
    np.testing.assert_array_equal(cross_validate(features, SplitRule()), found)


def test_what_only_a_block_shows_is_not_learned():
    """Images of an hour look alike, and the label changes by the hour: no other hour tells it."""
    rng = np.random.default_rng(1)
    hours = np.arange(300) // 10
    classes = rng.integers(0, 2, 30)[hours]
    values = rng.normal(size=(30, 40))[hours] + rng.normal(0, 0.1, (300, 40))
    by_hour = cross_validate(_features(values, classes, hours), SplitRule())
    by_image = cross_validate(_features(values, classes, None), SplitRule())
    assert (by_hour.argmax(axis=1) == classes).mean() < 0.75
    assert (by_image.argmax(axis=1) == classes).mean() > 0.95


def test_a_class_of_one_block_is_never_found():
    rng = np.random.default_rng(2)
    classes = np.array([0, 1] * 20 + [2] * 5)
    hours = np.array([*np.arange(40), *[90] * 5])
    found = cross_validate(_features(rng.normal(size=(45, 10)), classes, hours), SplitRule())
    assert (found[classes == 2, 2] == 0).all()


@pytest.mark.parametrize("hours", [[0, 1, 2, 3], [0, 1, 0, 1], [0, 0, 0, 0], None])
def test_two_images_of_each_label_are_enough(hours):
    classes = np.array([0, 1, 0, 1])
    values = np.random.default_rng(3).normal(size=(4, 5))
    found = cross_validate(_features(values, classes, hours and np.array(hours)), SplitRule())
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_only_the_labels_that_were_drawn_are_learned():
    rng = np.random.default_rng(4)
    classes = np.arange(80) % 2
    values = rng.normal(size=(80, 6))
    values[:, :2] += 4 * np.eye(2)[classes]
    features = _features(values, classes, None)
    everything = np.ones(80, bool)
    np.testing.assert_array_equal(
        cross_validate(features, SplitRule(), everything), cross_validate(features, SplitRule())
    )
    of_one_class = cross_validate(features, SplitRule(), classes == 1)
    assert (of_one_class[:, 1] == 1).all()
    of_none = cross_validate(features, SplitRule(), np.zeros(80, bool))
    assert (of_none == 0).all()


def test_images_that_are_all_alike_are_anyones_guess():
    features = _features(np.ones((40, 5)), np.arange(40) % 2, None)
    np.testing.assert_allclose(cross_validate(features, SplitRule()), 0.5, atol=0.05)
