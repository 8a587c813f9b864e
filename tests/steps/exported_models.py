"""Networks and their exports, made once for all tests of what is released and scored."""

from pathlib import Path

import pytest

from edge.inference.record import MODEL_FILE, ModelRecord, sha256_of
from edge.inference.scoring import PREPARE_VERSION

SIZE = (32, 32)


def network(seed: int):
    """The compact network with weights of their own, its batch normalisation moved from 0 and 1."""
    import keras
    import numpy as np

    from steps.training.networks import build

    keras.utils.set_random_seed(seed)
    model = build("compact", SIZE, 2, seed=seed)
    images = np.random.default_rng(seed).integers(0, 256, (16, *SIZE, 3), np.uint8)
    for _ in range(3):
        model(images, training=True)
    return model


@pytest.fixture(scope="session")
def keras_model():
    return network(seed=0)


@pytest.fixture(scope="session")
def other_model():
    """The same network with other weights."""
    return network(seed=1)


def write_export(model, folder: Path) -> Path:
    """The model's graph and its record, as a device has them."""
    from steps.release.onnx_graph import to_onnx

    (folder / MODEL_FILE).write_bytes(to_onnx(model))
    ModelRecord(
        labels=["dark", "bright"],
        input_size=SIZE,
        prepare_version=PREPARE_VERSION,
        files={MODEL_FILE: sha256_of(folder / MODEL_FILE)},
    ).write(folder)
    return folder


@pytest.fixture(scope="session")
def exported(keras_model, tmp_path_factory) -> Path:
    return write_export(keras_model, tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="session")
def other_exported(other_model, tmp_path_factory) -> Path:
    return write_export(other_model, tmp_path_factory.mktemp("other"))
