"""The int8 graph: its weights are rounded well, nothing saturates, and it predicts the same."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from small_cache import bright_or_not, write_cache

from steps.dataset.cache import Cache
from steps.release.convolutions import round_kernels, round_weights
from steps.release.int8 import to_int8
from steps.release.onnx_graph import to_onnx
from steps.training.networks import CLASSIFIER, build_network
from steps.training.plan import Plan

MOST = 128
"""Of the sum of two neighbouring weights of one sign: 255 times it is the most of 16 bits."""


@pytest.mark.parametrize(
    ("kernel", "rounded"),
    [
        ([1.0, -2.0, 0.0, 3.0], [1, -2, 0, 3]),
        ([0.4, 0.4, 0.3, 0.1], [1, 0, 0, 0]),
        ([-0.4, -0.1, -0.3, -0.4], [-1, 0, 0, 0]),
        ([0.6, 0.6, 0.6, 0.6], [0, 0, 1, 1]),
        ([0.4, -0.4, 0.4, -0.4], [0, 0, 0, 0]),
        ([0.4], [0]),
    ],
)
def test_a_kernel_keeps_its_sum(kernel, rounded):
    found = round_kernels(np.array(kernel, np.float32).reshape(1, 1, 1, -1))
    assert found.ravel().tolist() == rounded


@pytest.mark.parametrize("size", [1, 3, 5])
def test_rounding_moves_no_weight_by_a_step_and_no_sum_by_more_than_half(size):
    kernels = np.random.default_rng(size).normal(0, 40, (64, 32, size, size)).astype(np.float32)
    error = round_kernels(kernels) - kernels
    assert np.abs(error).max() < 1 and np.abs(error.sum(axis=(2, 3))).max() <= 0.5001


def _convolution(weights: np.ndarray, groups: int, bias: bool = True) -> onnx.ModelProto:
    """Pixels through one convolution."""
    constants = {"weights": weights, "bias": np.linspace(-1, 1, len(weights), dtype=np.float32)}
    names = ["floats", *constants][: 3 if bias else 2]
    channels = weights.shape[1] * groups
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Conv", names, ["out"], name="only", group=groups),
        ],
        "graph",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", channels, 12, 12])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(constants[name], name) for name in names[1:]],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def _run(model: onnx.ModelProto, batch: dict[str, np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, batch)[0]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2, 8])
def test_the_mean_of_each_channel_stays_when_weights_are_rounded(groups, bias):
    rng = np.random.default_rng(groups)
    weights = rng.normal(size=(16, 8 // groups, 3, 3)).astype(np.float32)
    batch = {"pixels": rng.integers(0, 256, (4, 8, 12, 12), np.uint8)}
    model = _convolution(weights, groups, bias)
    before = _run(model, batch)
    steps = round_weights(model, [batch])
    after = _run(model, batch)
    assert len(steps["only_weights"]) == 16
    assert np.abs(after - before).max() > 0.01  # they are rounded
    shift = np.abs((after - before).mean(axis=(0, 2, 3)))
    uncorrected = _run(_convolution(_weights(model), groups, bias), batch) - before
    # the border's pixels are in fewer windows than the mean counts them in
    assert shift.mean() < np.abs(uncorrected.mean(axis=(0, 2, 3))).mean() / 4


def _weights(model: onnx.ModelProto) -> np.ndarray:
    constants = {constant.name: constant for constant in model.graph.initializer}
    return numpy_helper.to_array(constants["only_weights"])


@pytest.mark.parametrize(
    ("weights", "groups"),
    [
        pytest.param(np.ones((4, 8, 3, 3)), 1, id="all alike"),
        pytest.param(-np.ones((4, 8, 1, 1)), 1, id="alike but for the sign"),
        pytest.param(np.tile([0.5039, 0.4961], 16).reshape(4, 8, 1, 1), 1, id="pairs at the limit"),
        pytest.param(np.eye(8).reshape(8, 8, 1, 1), 1, id="one large"),
        pytest.param(np.zeros((1, 8, 3, 3)), 1, id="a channel of zeros"),
        pytest.param(np.ones((3, 1, 1, 1)), 1, id="one weight"),
        pytest.param(np.random.default_rng(0).normal(size=(64, 8, 5, 5)), 1, id="any"),
        pytest.param(np.random.default_rng(1).normal(size=(64, 2, 3, 3)), 4, id="in groups"),
        pytest.param(np.random.default_rng(2).normal(size=(64, 1, 3, 3)), 64, id="depthwise"),
    ],
)
def test_no_two_neighbouring_products_saturate_16_bits(weights, groups):
    model = _convolution(weights.astype(np.float32), groups)
    batch = {"pixels": np.full((1, weights.shape[1] * groups, 12, 12), 255, np.uint8)}
    steps = round_weights(model, [batch])["only_weights"]
    rounded = _weights(model) / np.array([step["scale"] for step in steps]).reshape(-1, 1, 1, 1)
    whole = np.rint(rounded)
    np.testing.assert_allclose(rounded, whole, atol=1e-3)
    assert np.abs(whole).max() <= 127
    rows = np.moveaxis(whole, 1, -1).reshape(len(whole), -1)
    if groups < len(whole):
        for signed in (rows, -rows):
            some = np.maximum(signed, 0)
            assert (some[:, 1:] + some[:, :-1]).max(initial=0) <= MOST
    largest = np.abs(rows).max(axis=1)
    assert (largest[largest > 0] >= MOST // 2 - 2).all()  # at least as fine as 7 bits


def test_a_compact_network_predicts_the_same_in_int8_with_the_same_bytes_each_time(
    keras_model, bright_cache, tmp_path
):
    graph = to_onnx(keras_model)
    int8 = to_int8(graph, bright_cache, tmp_path)
    assert int8 == to_int8(graph, bright_cache, tmp_path) and len(int8) < len(graph) / 3
    pixels = np.random.default_rng(3).integers(0, 256, (64, 32, 32, 3), np.uint8)
    by_float, by_int8 = (
        _run(onnx.load_from_string(found), {"pixels": pixels}) for found in (graph, int8)
    )
    assert np.abs(by_float - by_int8).max() < 0.03
    nodes = onnx.load_from_string(int8).graph.node
    operators = Counter(node.op_type for node in nodes)
    assert operators["Conv"] == 5 and operators["Relu"] == 1  # after the others a range does it
    after = [node.op_type for node in nodes if node.op_type in ("Conv", "QuantizeLinear")]
    assert after[:2] == ["Conv", "QuantizeLinear"]  # the first convolution is in float


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Cache:
    groups = {"train": [24], "validation": [4], "test": [4]}
    folder: Path = tmp_path_factory.mktemp("photos") / "cache"
    return write_cache(folder, groups, size=(64, 64), draw=bright_or_not)


@pytest.mark.slow
def test_the_frozen_network_keeps_its_features_in_int8(photos, tmp_path):
    model = build_network(Plan("efficientnet_lite0"), (64, 64), 8)
    rng = np.random.default_rng(5)
    kernel = rng.normal(0, 0.02, (1904, 8)).astype(np.float32)
    model.get_layer(CLASSIFIER).set_weights([kernel, np.zeros(8, np.float32)])
    graph = to_onnx(model)
    int8 = to_int8(graph, photos, tmp_path)
    assert len(int8) < 4_000_000 and len(graph) > 13_000_000
    pixels = np.stack([bright_or_not(number, (64, 64), 2)[0] for number in range(200, 232)])
    by_float, by_int8 = (
        np.log(_run(onnx.load_from_string(found), {"pixels": pixels})) for found in (graph, int8)
    )
    deviation = (by_float - by_float.mean(axis=0)).std()
    assert np.sqrt(np.square(by_float - by_int8).mean()) < 0.13 * deviation


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small", "EfficientNetV2B0"])
def test_every_network_has_an_int8_graph(name, photos, tmp_path):
    """With random weights, whose biases are all zero and therefore one constant."""
    graph = to_onnx(build_network(Plan(name, weights="none"), (64, 64), 2))
    int8 = to_int8(graph, photos, tmp_path)
    assert len(int8) < len(graph) / 3
    pixels = np.random.default_rng(7).integers(0, 256, (8, 64, 64, 3), np.uint8)
    by_float, by_int8 = (
        _run(onnx.load_from_string(found), {"pixels": pixels}) for found in (graph, int8)
    )
    np.testing.assert_allclose(by_float, by_int8, atol=0.05)
