"""What is released of a network: two ONNX graphs, proven on the held-out part, their record and
reference images."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge.inference.record import INT8_FILE, MODEL_FILE, RECORD_FILE, ModelRecord, sha256_of
from edge.inference.reference_images import REFERENCE_IMAGES_FILE
from edge.inference.scoring import Scorer
from steps.dataset.cache import Cache
from steps.dataset.split import TEST
from steps.evaluation.model_predictions import Judged, judged
from steps.evaluation.predictions import keras_predict
from steps.release.int8 import to_int8
from steps.release.onnx_graph import require_parity, to_onnx
from steps.release.reference_images import select_reference_images

if TYPE_CHECKING:
    import keras

logger = logging.getLogger("steps")

RECORDED = ("accuracy", "recall_", "precision_")
"""Metrics that are counts of images, and so the same wherever they are computed."""


@dataclass(frozen=True)
class Package:
    """The files in a folder, and what was found in comparing them with Keras.

    Attributes:
        files: the graphs, the record and the reference images.
        record: as it was written.
        max_difference: of a probability of the float graph, over ``held_out`` images.
    """

    files: list[Path]
    record: ModelRecord
    max_difference: float
    held_out: int

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 by file name."""
        return {file.name: sha256_of(file) for file in self.files}


def write_package(model: "keras.Model", record: ModelRecord, cache: Cache, folder: Path) -> Package:
    """Write ``model.onnx``, ``model.int8.onnx``, ``record.json`` and ``reference_images.json``.

    The same network and images give the same bytes.

    Args:
        model: the Keras network.
        record: what is known of it but for its files.
        cache: the images that it was trained and judged on.
        folder: where the files are written.

    Raises:
        steps.release.onnx_graph.ParityError: the float graph is not what Keras computes.
    """
    graph = to_onnx(model)
    (folder / MODEL_FILE).write_bytes(graph)
    scratch = folder / "scratch"
    scratch.mkdir()
    (folder / INT8_FILE).write_bytes(to_int8(graph, cache, scratch))
    record = replace(
        record, files={name: sha256_of(folder / name) for name in (MODEL_FILE, INT8_FILE)}
    )
    record.write(folder)
    difference, held_out = require_parity(model, Scorer(folder), cache, TEST)
    scorers = {name: Scorer(folder, model_file=name) for name in record.files}
    by_file = {
        name: judged(scorer.score_prepared, record, cache, TEST) for name, scorer in scorers.items()
    }
    by_keras = judged(keras_predict(model), record, cache, TEST)
    record = replace(
        record, file_metrics={name: _metrics(found, by_keras) for name, found in by_file.items()}
    )
    record.write(folder)
    select_reference_images(by_file[MODEL_FILE], scorers, cache).write(folder)
    files = [folder / name for name in (MODEL_FILE, INT8_FILE, RECORD_FILE, REFERENCE_IMAGES_FILE)]
    return Package(files, record, difference, held_out)


def _metrics(found: Judged, by_keras: Judged) -> dict[str, float]:
    """What a graph reached, and how often it says what Keras says."""
    metrics = {
        name: round(value, 6)
        for name, value in found.metrics().items()
        if name.startswith(RECORDED) and "@" not in name
    }
    return metrics | {"agreement": round(float((found.said == by_keras.said).mean()), 6)}
