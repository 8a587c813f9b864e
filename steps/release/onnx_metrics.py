"""Size and latency of a network's ONNX graph, which promotion rules may limit."""

import statistics
import tempfile
import timeit
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.inference.record import MODEL_FILE, ModelRecord
from edge.inference.scoring import Scorer
from steps.release.onnx_graph import to_onnx

if TYPE_CHECKING:
    import keras

LATENCY_RUNS = 51


def measure_onnx(model: "keras.Model", record: ModelRecord) -> dict[str, float]:
    """Return ``onnx_bytes`` and ``latency_ms`` of a network's ONNX graph.

    The latency is the median over single prepared images, on one thread.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        graph = to_onnx(model)
        (folder / MODEL_FILE).write_bytes(graph)
        record.write(folder)
        scorer = Scorer(folder, threads=1)
    image = np.random.default_rng(0).integers(0, 256, (1, *record.input_size, 3), np.uint8)
    seconds = timeit.repeat(lambda: scorer.score_prepared(image), number=1, repeat=LATENCY_RUNS)
    return {"onnx_bytes": len(graph), "latency_ms": 1000 * statistics.median(seconds)}
