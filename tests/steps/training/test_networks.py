"""The networks as they are built, and what a user reads if they cannot be."""

import keras
import numpy as np
import pytest

from steps.errors import UserError
from steps.training.networks import NETWORKS, build_network
from steps.training.plan import Plan

# Keras says how it will resize ImageNet's weights, and which layers a file does not have
pytestmark = pytest.mark.filterwarnings("ignore:.*(input_shape|Skipping nested):UserWarning")

SIZE = (32, 48)


def _pixels(count: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), np.uint8)


@pytest.fixture(scope="module")
def compact():
    keras.utils.set_random_seed(0)
    return build_network(Plan(), SIZE, 2)


@pytest.mark.parametrize(
    ("network", "classes"),
    [
        *(("compact", classes) for classes in (2, 5)),
        *(
            pytest.param(network, 2, marks=pytest.mark.slow)
            for network in NETWORKS
            if network != "compact"
        ),
    ],
)
def test_a_network_takes_bytes_and_gives_probabilities(network, classes):
    model = build_network(Plan(network), SIZE, classes)
    assert model.input_shape == (None, *SIZE, 3) and model.inputs[0].dtype == "uint8"
    assert model.name == network and model.output_shape == (None, classes)
    probabilities = np.asarray(model(_pixels(3), training=False))
    assert probabilities.shape == (3, classes) and probabilities.dtype == np.float32
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_each_image_is_predicted_by_itself(compact):
    pixels = _pixels(4)
    together = np.asarray(compact(pixels, training=False))
    for image, expected in zip(pixels, together, strict=True):
        alone = np.asarray(compact(image[None], training=False))[0]
        np.testing.assert_allclose(alone, expected, atol=1e-5)
    assert len(np.unique(together[:, 0])) == 4


def test_dropout_is_off_outside_training(compact):
    pixels = _pixels(2)
    first, second = (np.asarray(compact(pixels, training=False)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    first, second = (np.asarray(compact(pixels, training=True)) for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("width", [0.75, 1.25])
def test_the_width_multiplies_the_channels_of_the_compact_network(compact, width):
    def channels(model):
        return [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]

    expected = [int(width * number) for number in channels(compact)]
    assert channels(build_network(Plan(width=width), SIZE, 2)) == expected


@pytest.mark.parametrize("seed", [0, 4])
def test_a_seed_decides_the_initial_weights(seed):
    def weights(seed: int) -> list[np.ndarray]:
        keras.utils.set_random_seed(seed)
        return build_network(Plan(seed=seed), SIZE, 2).get_weights()

    pairs = list(zip(weights(seed), weights(seed), strict=True))
    assert all(np.array_equal(a, b) for a, b in pairs)
    pairs = list(zip(weights(seed), weights(seed + 1), strict=True))
    assert not all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("network", "width", "weights", "message"),
    [
        ("compact", 1.0, "imagenet", "trains from scratch; pass -P weights=none"),
        ("MobileNetV2", 1.0, "missing.weights.h5", "weights 'missing.weights.h5' are not a file"),
        ("MobileNetV3Small", 1.0, "{folder}", "are not a file"),
        ("EfficientNetV2B0", 1.25, "none", "has one width; pass -P width=1"),
        ("MobileNetV2", 0.9, "imagenet", "cannot be loaded or do not fit"),
        ("MobileNetV2", 1.0, "{folder}/other.weights.h5", "cannot be loaded or do not fit"),
        ("MobileNetV2", 1.0, "{folder}/not.weights.h5", "cannot be loaded or do not fit"),
    ],
)
def test_what_cannot_be_built_is_an_error_of_one_line(tmp_path, network, width, weights, message):
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(
        tmp_path / "other.weights.h5"
    )
    (tmp_path / "not.weights.h5").write_bytes(b"no weights")
    with pytest.raises(UserError) as caught:
        build_network(Plan(network, width, weights=weights.format(folder=tmp_path)), SIZE, 2)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("network", ["resnet", ""])
def test_an_unknown_network_lists_the_known_ones(network):
    with pytest.raises(
        ValueError, match=f"'{network}' is not a network; pass one of: compact, Mobile"
    ):
        build_network(Plan(network), SIZE, 2)


def test_weights_that_cannot_be_fetched_are_an_error_of_one_line(monkeypatch, tmp_path):
    # nothing listens there, so that Keras' own downloader fails as it does without a network
    monkeypatch.setattr(
        "keras.src.applications.mobilenet_v2.BASE_WEIGHT_PATH", "http://127.0.0.1:9/"
    )
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    with pytest.raises(UserError, match="URL fetch failure.*pass -P weights=none") as caught:
        build_network(Plan("MobileNetV2", weights="imagenet"), SIZE, 2)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "scaled"),
    [
        ("MobileNetV2", lambda pixels: pixels / 127.5 - 1),
        ("MobileNetV3Small", lambda pixels: pixels),  # scales by itself
        ("EfficientNetV2B0", lambda pixels: pixels),
    ],
)
def test_weights_without_a_top_give_the_features_that_keras_gives(tmp_path, network, scaled):
    body = getattr(keras.applications, network)(
        input_shape=(*SIZE, 3), include_top=False, pooling="avg", weights=None
    )
    body.save_weights(tmp_path / "body.weights.h5")
    model = build_network(Plan(network, weights=str(tmp_path / "body.weights.h5")), SIZE, 3)
    features = keras.Model(model.input, model.get_layer("probabilities").input)
    ours = np.asarray(features(_pixels(2), training=False))
    theirs = np.asarray(body(scaled(_pixels(2).astype(np.float32)), training=False))
    assert theirs.std() > 0
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3 * np.abs(theirs).max())
