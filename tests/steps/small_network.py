"""A small network, and its export as a device has it."""

from pathlib import Path

from edge.inference.prepare import PREPARE_VERSION
from edge.inference.record import MODEL_FILE, ModelRecord
from edge.protocol.release import sha256_of

SIZE = (32, 32)


def network(seed: int):
    """Return the compact network with random weights; its batch normalisation has seen noise."""
    import keras
    import numpy as np

    from steps.training.networks import build_network
    from steps.training.plan import Plan

    keras.utils.set_random_seed(seed)
    model = build_network(Plan(seed=seed), SIZE, 2)
    images = np.random.default_rng(seed).integers(0, 256, (16, *SIZE, 3), np.uint8)
    for _ in range(3):
        model(images, training=True)
    return model


def write_export(model, folder: Path) -> Path:
    """Write the model's graph and its record, as a device has them."""
    from steps.release.onnx_graph import to_onnx

    (folder / MODEL_FILE).write_bytes(to_onnx(model))
    ModelRecord(
        labels=["dark", "bright"],
        input_size=SIZE,
        prepare_version=PREPARE_VERSION,
        files={MODEL_FILE: sha256_of(folder / MODEL_FILE)},
    ).write(folder)
    return folder
