"""What the augmentation changes, and what stays."""

import numpy as np
import pytest

from steps.training.augmentation import build_augmentation

SIZE = (32, 48)


def _scene() -> np.ndarray:
    """A bright rectangle before grey: ``uint8 [64, H, W, 3]``."""
    pixels = np.full((64, *SIZE, 3), 40, np.uint8)
    pixels[:, 12:20, 16:32] = 160
    return pixels


def _augmented(strength: float, seed: int = 0, times: int = 1) -> np.ndarray:
    model = build_augmentation(SIZE, strength, seed)
    for _ in range(times):
        augmented = np.asarray(model(_scene(), training=True))
    return augmented


@pytest.fixture(scope="module")
def augmented() -> np.ndarray:
    return _augmented(1.0)


def test_each_image_is_changed_differently(augmented):
    assert augmented.dtype == np.uint8 and augmented.shape == _scene().shape
    assert len(np.unique(augmented.reshape(64, -1), axis=0)) == 64


def test_the_light_changes_by_image_by_place_and_by_band(augmented):
    light = np.log(np.maximum(augmented.astype(float), 1))
    corners = np.stack([light[:, :6, :6], light[:, -6:, -6:]]).mean(axis=(2, 3))  # 2, N, band
    assert 0.25 < corners.mean(axis=(0, 2)).std() < 0.7
    assert 0.15 < (corners[0] - corners[1]).mean(axis=-1).std() < 0.6
    bands = corners.mean(axis=0)
    assert 0.03 < (bands[:, 0] - bands[:, 2]).std() < 0.15


def test_the_scene_is_shifted_by_a_few_pixels_at_most(augmented):
    bright = augmented.astype(float).mean(axis=-1)
    bright /= np.asarray(augmented, float).max(axis=(1, 2, 3))[:, None, None]
    rows = np.abs(np.diff(bright, axis=1)).mean(axis=(0, 2))
    edges = np.sort(np.argsort(rows)[-2:])
    assert abs(edges[0] - 11) <= 1 and abs(edges[1] - 19) <= 1


def test_each_value_has_noise_of_its_own(augmented):
    grey = augmented[:, 2:8, 2:8].astype(float)  # no edge, and little of a shadow's
    noise = grey - grey.mean(axis=(1, 2), keepdims=True)
    assert 2 < np.median(noise.std(axis=(1, 2))) < 6
    red, blue = noise[..., 0].ravel(), noise[..., 2].ravel()
    assert abs(np.corrcoef(red - blue, np.roll(red - blue, 1))[0, 1]) < 0.1


def test_strength_0_changes_nothing():
    np.testing.assert_array_equal(_augmented(0.0), _scene())


def test_outside_training_nothing_changes():
    still = np.asarray(build_augmentation(SIZE, 1.0, 0)(_scene(), training=False))
    np.testing.assert_array_equal(still, _scene())


def test_a_seed_repeats_it_and_calls_differ(augmented):
    np.testing.assert_array_equal(_augmented(1.0), augmented)
    assert not np.array_equal(_augmented(1.0, seed=1), augmented)
    assert not np.array_equal(_augmented(1.0, times=2), augmented)


def test_a_higher_strength_changes_more_up_to_the_highest_of_a_search():
    changes = [np.abs(_augmented(of).astype(int) - _scene()).mean() for of in (0.5, 1.0, 3.0)]
    assert changes == sorted(changes) and changes[0] > 3
