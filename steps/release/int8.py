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

IMAGES = 128
"""For calibration: the first of the training split, whose order depends only on the images."""

BATCH = 16


def to_int8(graph: bytes, cache: Cache, folder: Path) -> bytes:
    """Quantise a float graph statically; the same graph and images give the same bytes.

    Convolutions and matrix products compute in int8, with weights quantised per channel and
    activations by the range of the calibration images. Scaling and softmax stay in float. Weights
    use 7 of the 8 bits: an x86-64 processor without VNNI adds products pairwise in 16 bits, which
    8 bits would overflow, and its scores would differ from a Pi's (onnxruntime, "Quantize ONNX
    models": "when and why do I need to try U8U8?").

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
        name = onnx.load(prepared).graph.input[0].name
        batches = iter([{name: batch} for batch in _batches(cache)])
        quantize_static(
            prepared,
            target,
            SimpleNamespace(get_next=partial(next, batches, None)),  # all that the quantiser calls
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "MatMul", "Gemm"],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
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
