"""A Keras network as an ONNX graph: ``uint8 [N, H, W, 3]`` in, ``[N, classes]`` out."""

import statistics
import timeit
from typing import TYPE_CHECKING

import numpy as np

from steps.evaluation.predictions import Predictions
from steps.release.canonical_graph import canonical
from steps.release.pixel_arithmetic import fold_pixel_arithmetic

if TYPE_CHECKING:
    import keras

OPSET = 17

TOLERANCE = 1e-4
"""The largest difference from Keras that a probability may have on any image."""


LATENCY_RUNS = 51


class ParityError(RuntimeError):
    """The ONNX graph does not compute what the Keras network computes."""


def to_onnx(model: "keras.Model") -> bytes:
    """Convert a network to ONNX; the same network gives the same bytes.

    onnx's own checker checks the graph, shapes included.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx

    def probabilities(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": model(pixels, training=False)}

    signature = [tf.TensorSpec([None, *model.input_shape[1:3], 3], tf.uint8, "pixels")]
    function = tf.function(probabilities, input_signature=signature, autograph=False)
    graph, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    fold_pixel_arithmetic(graph.graph)
    graph.graph.CopyFrom(canonical(graph.graph))
    onnx.checker.check_model(graph, full_check=True)
    return bytes(graph.SerializeToString(deterministic=True))


def require_parity(keras: Predictions, onnx: Predictions) -> float:
    """Compare what Keras and ONNX predict for the same images.

    Returns:
        The largest difference of a probability.

    Raises:
        ParityError: the difference is more than ``TOLERANCE``.
    """
    largest = float(np.abs(keras.probabilities - onnx.probabilities).max())
    if not largest <= TOLERANCE:  # NaN is not either
        raise ParityError(
            f"ONNX probabilities differ from Keras by up to {largest:.2e}; {TOLERANCE} is allowed"
        )
    return largest


def measure_onnx(model: "keras.Model") -> dict[str, float]:
    """Return ``onnx_bytes`` and ``latency_ms`` of a network's ONNX graph.

    The latency is the median over single prepared images, on one thread.
    """
    import onnxruntime

    graph, options = to_onnx(model), onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    shape = (1, *model.input_shape[1:])
    image = {"pixels": np.random.default_rng(0).integers(0, 256, shape, np.uint8)}
    seconds = timeit.repeat(lambda: session.run(None, image), number=1, repeat=LATENCY_RUNS)
    return {"onnx_bytes": len(graph), "latency_ms": 1000 * statistics.median(seconds)}
