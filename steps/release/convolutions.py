"""Convolutions in 8 bits: weights rounded so that the outputs change little."""

from collections.abc import Collection
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

CONVOLUTION = "Conv"

STEPS = 126
"""The largest weight, in steps, or sum of two neighbours; rounding may add one to each."""

Batches = list[dict[str, NDArray[np.uint8]]]


def round_weights(
    network: onnx.ModelProto, batches: Batches, exclude: Collection[str] = ()
) -> dict[str, list[dict[str, Any]]]:
    """Round the weights of a float network's convolutions in place, and correct their biases.

    Activations are rarely negative, so that the errors of many weights shift the mean of a channel;
    its bias takes that back (Nagel et al. 2019, "Data-free quantization through weight equalization
    and bias correction").

    Args:
        network: a float graph.
        batches: images as the graph takes them, on which the shift is measured.
        exclude: the names of nodes that stay as they are.

    Returns:
        The step of each channel's weights, as ``TensorQuantOverrides`` of onnxruntime's quantiser.
    """
    constants = {constant.name: constant for constant in network.graph.initializer}
    steps = {}
    for node, means in _input_means(network, batches, exclude):
        exact, *biases = (numpy_helper.to_array(constants[name]) for name in node.input[1:])
        step = _step(exact, _is_depthwise(node, exact))
        rounded = round_kernels(exact / step) * step
        shift = _means_out((exact - rounded).sum(axis=(2, 3)), means)
        weights, bias = f"{node.name}_weights", f"{node.name}_bias"  # constants may be shared
        del node.input[1:]
        node.input.extend([weights, bias])
        for name, values in ((weights, rounded), (bias, sum(biases, shift))):
            constant = numpy_helper.from_array(values.astype(np.float32), name)
            network.graph.initializer.append(constant)
        zero = np.array(0, np.int8)
        steps[weights] = [{"axis": 0, "scale": each, "zero_point": zero} for each in step.ravel()]
    used = {name for node in network.graph.node for name in node.input}
    for name in constants.keys() - used:
        network.graph.initializer.remove(constants[name])
    return steps


def round_kernels(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round a convolution's weights so that each kernel's sum is off by half a step at most.

    Neighbouring pixels are alike, so that the errors of a kernel's weights add up. Where they do,
    the weights that are nearest to the middle between two steps are rounded the other way.

    Args:
        weights: in steps, ``[out, in, height, width]``.
    """
    kernels = weights.reshape(*weights.shape[:2], -1)
    rounded = np.rint(kernels)
    rest = kernels - rounded
    missing = np.rint(rest.sum(axis=2, keepdims=True))
    sign = np.sign(missing)
    rank = np.argsort(np.argsort(-rest * sign, axis=2, kind="stable"), axis=2)
    return np.asarray(rounded + sign * (rank < np.abs(missing))).reshape(weights.shape)


def _step(weights: NDArray[np.float32], depthwise: bool) -> NDArray[np.float32]:
    """Return the step of each output channel, ``[out, 1, 1, 1]``.

    An x86-64 processor without VNNI multiplies 8-bit activations by 8-bit weights and adds two
    neighbouring products in 16 bits, which saturate: its scores would differ from a Pi's. They
    cannot where two neighbouring weights of one sign add up to at most 128 steps. That costs less
    than the usual remedy, weights of 7 bits, since the largest weights are rarely neighbours. A
    depthwise convolution adds its products in 32 bits on all processors.
    """
    rows = np.moveaxis(weights, 1, -1).reshape(len(weights), -1)  # onnxruntime's order
    if depthwise:
        largest = np.abs(rows).max(axis=1)
    else:
        rows = np.pad(rows, ((0, 0), (0, 1)))  # a weight by itself counts too
        signs = np.maximum(np.stack([rows, -rows]), 0)
        largest = (signs[..., 1:] + signs[..., :-1]).max(axis=(0, 2))
    step = np.where(largest > 0, largest / STEPS, 1)
    return step.astype(np.float32).reshape(-1, 1, 1, 1)


def _means_out(weights: NDArray[np.float32], inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what ``[out, in of its group]`` weights make of the channels ``[in]``, ``[out]``."""
    groups = inputs.reshape(-1, weights.shape[1])
    return np.asarray((weights * groups.repeat(len(weights) // len(groups), axis=0)).sum(axis=1))


def _is_depthwise(node: onnx.NodeProto, weights: NDArray[np.float32]) -> bool:
    groups = next((found.i for found in node.attribute if found.name == "group"), 1)
    return groups == len(weights) and weights.shape[1] == 1


def _input_means(
    network: onnx.ModelProto, batches: Batches, exclude: Collection[str]
) -> list[tuple[onnx.NodeProto, NDArray[np.float64]]]:
    """Return each convolution with the mean of each channel that it reads."""
    import onnxruntime

    convolutions = (node for node in network.graph.node if node.op_type == CONVOLUTION)
    nodes = [node for node in convolutions if node.name not in exclude]
    if not nodes:
        return []
    measuring = onnx.ModelProto()
    measuring.CopyFrom(network)
    names = [f"mean_{place}" for place in range(len(nodes))]
    for name, node in zip(names, nodes, strict=True):
        mean = onnx.helper.make_node("ReduceMean", [node.input[0]], [name], axes=[2, 3])
        measuring.graph.node.append(mean)
        measuring.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        )
    session = onnxruntime.InferenceSession(
        measuring.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    measured = zip(*(session.run(names, batch) for batch in batches), strict=True)
    means = (np.concatenate(parts).mean(axis=(0, 2, 3), dtype=np.float64) for parts in measured)
    return list(zip(nodes, means, strict=True))
