"""The arithmetic between pixels and the first convolution, in as few passes as it needs."""

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Constants = dict[str, NDArray[np.float32]]
Values = NDArray[np.float64]
"""A number, or one for each channel."""


def fold_pixel_arithmetic(graph: onnx.GraphProto) -> None:
    """Compute the same by ``Cast``, ``Sqrt`` and ``Sub``, and scale the weights instead.

    Each operator is one more pass over the image. The offset stays before the convolution, which
    pads with zeros. If the path from the pixels is another one, the graph stays as it is.

    Args:
        graph: ``uint8 [N, H, W, 3]`` in; changed in place.
    """
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    match list(_path(graph)):
        case [cast, *arithmetic, transpose, convolution] if (
            (cast.op_type, transpose.op_type) == ("Cast", "Transpose")
            and convolution.input[1] in constants
            and (found := _as_affine(arithmetic, constants)) is not None
        ):
            has_root, scale, offset = found
        case _:
            return
    weights = constants[convolution.input[1]] * scale.reshape(1, -1, 1, 1)
    added = {"pixel_weights": weights, "pixel_offset": -offset / scale}
    graph.initializer.extend(
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in added.items()
    )
    convolution.input[1] = "pixel_weights"
    value = cast.output[0]
    if has_root:
        graph.node.append(helper.make_node("Sqrt", [value], ["pixel_roots"]))
        value = "pixel_roots"
    if offset.any():
        graph.node.append(helper.make_node("Sub", [value, "pixel_offset"], ["pixel_values"]))
        value = "pixel_values"
    transpose.input[0] = value


def _path(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes from the pixels to the first convolution, while each has one reader."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    name = graph.input[0].name
    while len(reading := readers.get(name, [])) == 1:
        yield reading[0]
        if reading[0].op_type == "Conv":
            return
        name = reading[0].output[0]


def _as_affine(
    arithmetic: Sequence[onnx.NodeProto], constants: Constants
) -> tuple[bool, Values, Values] | None:
    """Return nodes as ``scale · x + offset``, where x is the pixels or, if True, their roots.

    None if they are something else.
    """
    has_root, scale, offset = False, np.ones(()), np.zeros(())
    for node in arithmetic:
        constant = _constant(node, constants)
        match node.op_type:
            case "Mul" if constant is not None:
                scale, offset = scale * constant, offset * constant
            case "Add" if constant is not None:
                offset = offset + constant
            # neither pixels nor their roots are negative
            case "Max" if constant is not None and (scale > 0).all() and (offset >= constant).all():
                pass
            case "Sqrt" if (scale > 0).all() and not has_root and not offset.any():
                has_root, scale = True, np.sqrt(scale)
            case _:
                return None
    return (has_root, scale, offset) if scale.all() else None


def _constant(node: onnx.NodeProto, constants: Constants) -> Values | None:
    """Return the constant that a node reads if it is a number, or one for each channel."""
    for value in (constants[name] for name in node.input if name in constants):
        if value.size == (value.shape or (1,))[-1]:
            return value.astype(np.float64).ravel()
    return None
