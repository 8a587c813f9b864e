"""The frozen network: what it computes is what the original computes."""

from importlib import metadata
from pathlib import Path

import keras
import numpy as np
import pytest
from debian_torch import python_with_torch

from steps.features.efficientnet_lite0 import extract_features
from steps.features.weights import FILE, PACKAGE

# odd sides too, since SAME pads them differently
SIZES = [(128, 128), (64, 97)]


def _photos(size: tuple[int, int]) -> np.ndarray:
    """Smooth scenes, black, white and noise: ``uint8 [8, H, W, 3]``."""
    rng = np.random.default_rng(0)
    smooth = keras.layers.Resizing(*size)(rng.uniform(0, 255, (5, 4, 4, 3)))
    plain = np.stack([np.full((*size, 3), value) for value in (0, 255)])
    images = [np.asarray(smooth), plain, rng.uniform(0, 256, (1, *size, 3))]
    return np.concatenate(images).clip(0, 255).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_features_are_those_of_the_network_in_pytorch(tmp_path, size):
    run = python_with_torch(tmp_path, "the frozen network is NOT compared with the original")
    pixels, expected = tmp_path / "pixels.npy", tmp_path / "features.npy"
    np.save(pixels, _photos(size))
    program = Path(__file__).with_name("lite0_by_torch.py")
    weights = metadata.distribution(PACKAGE).locate_file(FILE)
    run(str(program), str(weights), str(pixels), str(expected))
    x = keras.Input((*size, 3))
    model = keras.Model(x, extract_features(x))
    found = np.asarray(model(_photos(size) / np.float32(255)))
    assert found.shape == (8, 1904) and found.std(axis=0).mean() > 0.1
    np.testing.assert_allclose(found, np.load(expected), atol=1e-4)
    assert not model.trainable_variables
