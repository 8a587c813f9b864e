"""Networks that do harm once they run, with the input and output of the tests' tiny model."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LARGEST = np.int64(2**62)


def _constant(name: str, value) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value), name)


def _loop(trips: list, nodes: list) -> tuple[list, list]:
    """Nodes that count up to ``trips``, and give ``zero``, a 0 that waits for them."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["sum", "one"], ["more"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("more", TensorProto.FLOAT, []),
        ],
        [_constant("one", np.float32(1))],
    )
    values = [_constant("yes", True), _constant("start", np.float32(0)), *trips]
    nodes = [
        *nodes,
        helper.make_node("Loop", ["trips", "yes", "start"], ["counted"], body=body),
        helper.make_node("Mul", ["counted", "start"], ["zero"]),
    ]
    return nodes, values


def _allocation() -> tuple[list, list]:
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
        helper.make_node("ReduceMax", ["huge"], ["zero"], keepdims=0),
    ]
    return nodes, [_constant("shape", np.int64([10 * 2**28]))]  # of 4 bytes each


def _bright_frames() -> tuple[list, list]:
    """Counts without end if the mean of the pixels is above 230, and not at all otherwise."""
    nodes = [
        helper.make_node("ReduceMax", ["means"], ["brightest"], keepdims=0),
        helper.make_node("Greater", ["brightest", "limit"], ["is_bright"]),
        helper.make_node("Where", ["is_bright", "for_ever", "never"], ["trips"]),
    ]
    values = [_constant("limit", np.float32(230)), _constant("for_ever", LARGEST)]
    return _loop([*values, _constant("never", np.int64(0))], nodes)


HARM = {
    "a loop without end": lambda: _loop([_constant("trips", LARGEST)], []),
    "10 GB": _allocation,
    "not a number": lambda: ([], [_constant("zero", np.float32(np.nan))]),
    "an unknown operator": lambda: (
        [helper.make_node("Ruin", ["means"], ["zero"], domain="evil")],
        [],
    ),
    "a loop on bright frames": _bright_frames,  # none of which is a reference image
}


def add_harm(path: Path, harm: str) -> None:
    """Let a tiny model's network do harm between its logits and its probabilities."""
    model = onnx.load(path)
    if harm == "external data":
        weights = next(one for one in model.graph.initializer if one.name == "weights")
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value="../../../../../../../dev/zero")
    else:
        nodes, values = HARM[harm]()
        before, softmax = list(model.graph.node)[:-1], model.graph.node[-1]
        added = helper.make_node("Add", ["logits", "zero"], ["harmed"])
        softmax.input[0] = "harmed"
        ordered = [*before, *nodes, added, softmax]
        del model.graph.node[:]
        model.graph.node.extend(ordered)
        model.graph.initializer.extend(values)
    if harm == "an unknown operator":
        model.opset_import.append(helper.make_opsetid("evil", 1))
    onnx.save(model, path)
