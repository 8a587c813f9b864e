"""The files of a release: two ONNX graphs, compared with Keras on the test split, their record and
reference images."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge.inference.record import INT8_FILE, MODEL_FILE, RECORD_FILE, ModelRecord
from edge.inference.reference_images import REFERENCE_IMAGES_FILE
from edge.inference.scoring import Scorer
from edge.protocol.release import sha256_of
from steps.dataset.cache import Cache
from steps.dataset.split import TEST
from steps.evaluation.predictions import Predict, Predictions, keras_predict, predict_split
from steps.release.int8 import to_int8
from steps.release.onnx_graph import require_parity, to_onnx
from steps.release.reference_images import select_reference_images

if TYPE_CHECKING:
    import keras

logger = logging.getLogger("steps")

RECORDED = ("accuracy", "recall_", "precision_")
"""Metrics that are counts of images, and so the same wherever they are computed."""

KERAS = "keras"


@dataclass(frozen=True)
class Package:
    """The files in a folder, and how they compare with Keras.

    Attributes:
        files: the graphs, the record and the reference images.
        hashes: SHA-256 by file name.
        sizes: bytes by file name.
        record: as it was written.
        max_difference: of a probability of the float graph, over the test images.
        test_images: the number of test images.
    """

    files: list[Path]
    hashes: dict[str, str]
    sizes: dict[str, int]
    record: ModelRecord
    max_difference: float
    test_images: int


def write_package(model: "keras.Model", record: ModelRecord, cache: Cache, folder: Path) -> Package:
    """Write ``model.onnx``, ``model.int8.onnx``, ``record.json`` and ``reference_images.json``.

    The same network and images give the same bytes.

    Args:
        model: the Keras network.
        record: its record but for its files.
        cache: the images that it was trained and evaluated on.
        folder: where the files are written.

    Raises:
        steps.release.onnx_graph.ParityError: the float graph does not compute what Keras computes.
    """
    graph = to_onnx(model)
    (folder / MODEL_FILE).write_bytes(graph)
    scratch = folder / "scratch"
    scratch.mkdir()
    (folder / INT8_FILE).write_bytes(to_int8(graph, cache, scratch))
    hashes = {name: sha256_of(folder / name) for name in (MODEL_FILE, INT8_FILE)}
    record = replace(record, files=hashes)
    record.write(folder)
    scorers = {name: Scorer(folder, model_file=name) for name in hashes}
    models: dict[str, Predict] = {name: scorer.score_prepared for name, scorer in scorers.items()}
    models[KERAS] = keras_predict(model)
    decision = record.labels, record.threshold, record.threshold_label
    predictions = predict_split(models, cache, TEST, *decision)
    by_keras = predictions.pop(KERAS)
    difference = require_parity(by_keras, predictions[MODEL_FILE])
    file_metrics = {name: _metrics(found, by_keras) for name, found in predictions.items()}
    record = replace(record, file_metrics=file_metrics)
    record.write(folder)
    select_reference_images(predictions[MODEL_FILE], scorers, cache).write(folder)
    files = [folder / name for name in (*hashes, RECORD_FILE, REFERENCE_IMAGES_FILE)]
    hashes = {file.name: sha256_of(file) for file in files}
    sizes = {file.name: file.stat().st_size for file in files}
    return Package(files, hashes, sizes, record, difference, len(by_keras))


def _metrics(found: Predictions, by_keras: Predictions) -> dict[str, float]:
    """Return a graph's metrics, and how often it predicts what Keras predicts."""
    metrics = {name: v for name, v in found.metrics().items() if name.startswith(RECORDED)}
    metrics["agreement"] = float((found.predicted == by_keras.predicted).mean())
    return {name: round(value, 6) for name, value in metrics.items()}
