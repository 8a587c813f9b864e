"""The network with 8-bit weights and activations, calibrated on training images."""

import logging
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from steps.dataset.cache import Cache
from steps.dataset.cache_reader import read_row_groups
from steps.dataset.split import TRAIN
from steps.release.canonical_graph import canonical
from steps.release.convolutions import CONVOLUTION, round_weights

IMAGES = 128
"""For calibration: the first of the training split, whose order depends only on the images."""

BATCH = 16


def to_int8(graph: bytes, cache: Cache, folder: Path) -> bytes:
    """Quantise a float graph statically; the same graph and images give the same bytes.

    Convolutions compute in int8, with weights rounded per channel and activations by the range of
    the calibration images, that of ReLU and ReLU6 included. Their biases are corrected for what
    the rounding of the weights shifts. Scaling, pooling, the classifier and softmax stay in float:
    they have few weights, and take little time. So does the first convolution: onnxruntime copies
    the three channels of each pixel of each window one window at a time, which takes three times
    as long as to compute it in float.

    Args:
        graph: the ONNX graph ``uint8 [N, H, W, 3]`` to probabilities, as ``to_onnx`` makes it.
        cache: the prepared images; those of the training split calibrate.
        folder: for the temporary files of onnxruntime's quantiser.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    source, prepared, target = (str(folder / name) for name in ("float", "prepared", "int8"))
    Path(source).write_bytes(graph)
    logging.disable(logging.WARNING)  # the quantiser writes to the root logger
    try:
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        network = onnx.load(prepared)
        batches = [{network.graph.input[0].name: batch} for batch in _batches(cache)]
        first = [node.name for node in network.graph.node if node.op_type == CONVOLUTION][:1]
        steps = round_weights(network, batches, first)
        onnx.save(network, prepared)
        quantize_static(
            prepared,
            target,
            SimpleNamespace(get_next=partial(next, iter(batches), None)),  # all that it calls
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[CONVOLUTION, "Clip", "Relu"],
            nodes_to_exclude=first,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"TensorQuantOverrides": steps},
        )
    finally:
        logging.disable(logging.NOTSET)
    quantised = onnx.load(target)
    quantised.graph.CopyFrom(canonical(quantised.graph))
    onnx.checker.check_model(quantised, full_check=True)
    return bytes(quantised.SerializeToString(deterministic=True))


def _batches(cache: Cache) -> list[NDArray[np.uint8]]:
    groups, count = [], 0
    for group in read_row_groups(cache, TRAIN, ["pixels"]):
        groups.append(cache.stack(group.pixels))
        count += len(groups[-1])
        if count >= IMAGES:
            break
    pixels = np.concatenate(groups)[:IMAGES]
    return [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]
