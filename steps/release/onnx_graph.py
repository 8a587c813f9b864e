"""A Keras network as an ONNX graph: ``uint8 [N, H, W, 3]`` in, ``[N, classes]`` out."""

import logging
from typing import TYPE_CHECKING

import numpy as np

from steps.dataset.batches import pixels_of, row_groups
from steps.dataset.cache import Cache
from steps.evaluation.predictions import keras_predict
from steps.release.canonical_graph import canonical

if TYPE_CHECKING:
    import keras

    from edge.inference.scoring import Scorer

OPSET = 17

TOLERANCE = 1e-4
"""How far a probability may be from Keras' on any image."""


class ParityError(RuntimeError):
    """The ONNX graph does not compute what the Keras network computes."""


def to_onnx(model: "keras.Model") -> bytes:
    """Convert a network; the same network gives the same bytes.

    The graph is checked by onnx's own checker, shapes included.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    height, width = model.input_shape[1:3]

    @tf.function(input_signature=[tf.TensorSpec([None, height, width, 3], tf.uint8, "pixels")])
    def probabilities(pixels):
        return {"probabilities": model(pixels, training=False)}

    graph, _ = tf2onnx.convert.from_function(
        probabilities, input_signature=probabilities.input_signature, opset=OPSET
    )
    graph.graph.CopyFrom(canonical(graph.graph))
    onnx.checker.check_model(graph, full_check=True)
    return graph.SerializeToString(deterministic=True)


def require_parity(
    model: "keras.Model", scorer: "Scorer", cache: Cache, part: str
) -> tuple[float, int]:
    """Compare Keras and ONNX on every image of a part.

    Returns:
        The largest difference of a probability, and the number of images.

    Raises:
        ParityError: the difference is more than ``TOLERANCE``.
    """
    predict = keras_predict(model)
    largest, count = 0.0, 0
    for group in row_groups(cache, part, ["pixels"]):
        pixels = pixels_of(group.pixels, cache)
        difference = np.abs(predict(pixels) - scorer.score_prepared(pixels)).max()
        largest, count = float(np.maximum(largest, difference)), count + len(pixels)
    if not largest <= TOLERANCE:  # nor what is no number
        raise ParityError(f"ONNX is up to {largest:.2e} from Keras; {TOLERANCE} is allowed")
    return largest, count
