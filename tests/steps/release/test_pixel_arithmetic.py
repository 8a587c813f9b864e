"""The arithmetic before the first convolution takes fewer operators and computes the same."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.inference.record import MODEL_FILE
from steps.release.pixel_arithmetic import fold_pixel_arithmetic

BYTE, DEVIATION, MEAN = 1 / 255, [4.4, 4.5, 4.3], [-2.1, -2.0, -1.8]


def _graph(*arithmetic: tuple, path: tuple[str, ...] = ("Transpose", "Conv")) -> onnx.ModelProto:
    """Pixels through operators with their constants, and a convolution that pads."""
    rng = np.random.default_rng(0)
    constants = {"weights": rng.normal(size=(4, 3, 3, 3)).astype(np.float32)}
    nodes = [helper.make_node("Cast", ["pixels"], ["cast"], to=TensorProto.FLOAT)]
    for place, (operator, *values) in enumerate(arithmetic):
        names = [f"constant_{place}"] * len(values)
        constants |= {name: np.array(*values, np.float32) for name in names}
        nodes.append(helper.make_node(operator, [nodes[-1].output[0], *names], [f"out_{place}"]))
    for operator in path:
        inputs, options = [nodes[-1].output[0]], {}
        if operator == "Transpose":
            options = {"perm": [0, 3, 1, 2]}
        if operator == "Conv":
            inputs, options = [*inputs, "weights"], {"strides": [2, 2], "pads": [0, 0, 1, 1]}
        nodes.append(helper.make_node(operator, inputs, [operator], **options))
    nodes[-1].output[0] = "out"
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", 16, 16, 3])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "graph", [pixels], [out], tensors)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def _folded(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """Return a model after folding, and the operators from its pixels to its first convolution."""
    folded = onnx.ModelProto()
    folded.CopyFrom(model)
    fold_pixel_arithmetic(folded.graph)
    made_by = {node.output[0]: node for node in folded.graph.node}
    node, operators = made_by["out"], ["Conv"]
    while (node := made_by.get(node.input[0])) is not None:
        operators.insert(0, node.op_type)
    return folded, operators


def _run(model: onnx.ModelProto) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3  # the constants that are read no more
    pixels = np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3), np.uint8)
    pixels[0, :2] = 0, 1, 255
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"pixels": pixels})[0]


@pytest.mark.parametrize(
    ("arithmetic", "operators"),
    [
        ([], []),
        ([("Mul", BYTE)], []),
        ([("Mul", BYTE), ("Add", 0)], []),
        ([("Mul", BYTE), ("Mul", 2), ("Add", -1)], ["Sub"]),
        ([("Add", -127.5), ("Mul", 2 * BYTE)], ["Sub"]),
        ([("Mul", BYTE), ("Mul", DEVIATION), ("Add", MEAN)], ["Sub"]),
        ([("Mul", BYTE), ("Max", 0), ("Sqrt",), ("Mul", 2), ("Add", -1)], ["Sqrt", "Sub"]),
        ([("Sqrt",)], ["Sqrt"]),
        ([("Mul", -BYTE), ("Add", 1)], ["Sub"]),
    ],
)
def test_scale_and_offset_need_one_operator(arithmetic, operators):
    model = _graph(*arithmetic)
    folded, found = _folded(model)
    assert found == ["Cast", *operators, "Transpose", "Conv"]
    expected = _run(model)
    np.testing.assert_allclose(_run(folded), expected, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(_graph(("Add", 1), ("Sqrt",)), id="a root of a sum"),
        pytest.param(_graph(("Sqrt",), ("Sqrt",)), id="a root of a root"),
        pytest.param(_graph(("Max", 7)), id="a maximum that pixels reach"),
        pytest.param(_graph(("Mul", -1), ("Max", 0)), id="a maximum of what is negative"),
        pytest.param(_graph(("Mul", 0), ("Add", 1)), id="no pixels"),
        pytest.param(_graph(("Mul", np.eye(16, 3)[:, None])), id="a factor for each row"),
        pytest.param(_graph(("Mul", BYTE), path=("Transpose", "Abs", "Conv")), id="another path"),
    ],
)
def test_what_is_not_scale_and_offset_stays(model):
    folded, _ = _folded(model)
    assert folded == model


@pytest.mark.parametrize("read", ["cast", "out_0", "Transpose"])
def test_what_something_else_reads_too_stays(read):
    model = _graph(("Mul", BYTE))
    model.graph.node.append(helper.make_node("Abs", [read], ["other"]))
    folded, _ = _folded(model)
    assert folded == model


def test_weights_that_are_computed_stay():
    model = _graph(("Mul", BYTE))
    model.graph.node.insert(0, helper.make_node("Abs", ["weights"], ["positive"]))
    model.graph.node[-1].input[1] = "positive"
    folded, _ = _folded(model)
    assert folded == model


def test_the_compact_network_takes_the_root_of_its_pixels_and_subtracts(exported):
    nodes = onnx.load(exported / MODEL_FILE).graph.node
    first = ["Cast", "Sqrt", "Sub", "Transpose", "Conv", "Relu"]
    assert [node.op_type for node in nodes[:6]] == first
