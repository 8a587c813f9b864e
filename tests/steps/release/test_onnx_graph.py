"""The ONNX graph: what it takes and gives, that it computes what Keras computes, and its bytes."""

import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from edge.inference.record import MODEL_FILE
from edge.inference.scoring import Scorer
from steps.evaluation.predictions import Predictions, keras_predict, predict_by_keras, predict_split
from steps.release.onnx_graph import (
    OPSET,
    TOLERANCE,
    ParityError,
    measure_onnx,
    require_parity,
    to_onnx,
)
from steps.settings.profile import PROJECT
from steps.training.networks import NETWORKS, build_network
from steps.training.plan import Plan


def _pixels(count: int, size: tuple[int, int] = (32, 32)) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *size, 3), np.uint8)


@pytest.fixture(scope="module")
def graph(exported) -> onnx.ModelProto:
    return onnx.load(exported / MODEL_FILE)


def _shape(value: onnx.ValueInfoProto) -> list[int | str]:
    return [axis.dim_value or axis.dim_param for axis in value.type.tensor_type.shape.dim]


def test_the_graph_takes_bytes_and_gives_probabilities(graph):
    onnx.checker.check_model(graph, full_check=True)
    (pixels,), (probabilities,) = graph.graph.input, graph.graph.output
    assert pixels.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert probabilities.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert probabilities.name == "probabilities"
    batch, *image = _shape(pixels)
    assert isinstance(batch, str) and image == [32, 32, 3]
    batch, classes = _shape(probabilities)
    assert isinstance(batch, str) and classes == 2
    opsets = {opset.domain: opset.version for opset in graph.opset_import}
    assert opsets[""] == OPSET >= 17


def test_nothing_of_the_training_is_left_in_the_graph(graph):
    operators = {node.op_type for node in graph.graph.node}
    assert "Conv" in operators
    assert not any("Random" in name or "Dropout" in name for name in operators)
    assert {node.domain for node in graph.graph.node} <= {"", "ai.onnx"}


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_any_number_of_images_scores_as_in_keras(exported, keras_model, count):
    pixels = _pixels(count)
    scored = Scorer(exported).score_prepared(pixels)
    assert scored.shape == (count, 2) and scored.dtype == np.float32
    np.testing.assert_allclose(scored, keras_predict(keras_model)(pixels), atol=1e-4)


@pytest.mark.parametrize("value", [0, 127, 255])
def test_flat_images_score_as_in_keras(exported, keras_model, value):
    pixels = np.full((1, 32, 32, 3), value, np.uint8)
    scored = Scorer(exported).score_prepared(pixels)
    np.testing.assert_allclose(scored, keras_predict(keras_model)(pixels), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("network", [name for name in NETWORKS if name != "compact"])
def test_every_network_converts_and_scores_as_in_keras(network):
    model = build_network(Plan(network), (32, 48), 3)
    session = onnxruntime.InferenceSession(to_onnx(model), providers=["CPUExecutionProvider"])
    pixels = _pixels(3, (32, 48))
    (scored,) = session.run(None, {session.get_inputs()[0].name: pixels})
    np.testing.assert_allclose(scored, keras_predict(model)(pixels), atol=1e-4)


@pytest.fixture(scope="module")
def by_keras(keras_model, bright_cache) -> Predictions:
    return predict_by_keras(keras_model, bright_cache, "test")


def by_onnx(folder, cache) -> Predictions:
    return predict_split({"onnx": Scorer(folder).score_prepared}, cache, "test")["onnx"]


def test_parity_is_checked_on_every_image(exported, by_keras, bright_cache):
    found = by_onnx(exported, bright_cache)
    assert len(found) == bright_cache.rows("test")
    difference = require_parity(by_keras, found)
    expected = np.abs(by_keras.probabilities - found.probabilities).max()
    assert difference == pytest.approx(expected, rel=0.01, abs=1e-7) and difference < TOLERANCE


def test_a_graph_of_other_weights_is_refused(other_exported, by_keras, bright_cache):
    with pytest.raises(ParityError, match="from Keras by up to .*; 0.0001 is allowed"):
        require_parity(by_keras, by_onnx(other_exported, bright_cache))


def test_one_image_that_differs_is_enough(by_keras):
    def shifted(difference: float) -> Predictions:
        probabilities = by_keras.probabilities.copy()
        probabilities[0, 1] += difference
        return replace(by_keras, probabilities=probabilities)

    with pytest.raises(ParityError, match="differ from Keras by up to 2.*e-04"):
        require_parity(by_keras, shifted(2.5e-4))
    require_parity(by_keras, shifted(5e-5))
    with pytest.raises(ParityError, match="up to nan"):
        require_parity(by_keras, shifted(math.nan))


def test_a_conversion_repeats_itself(exported, keras_model, other_exported):
    assert to_onnx(keras_model) == (exported / MODEL_FILE).read_bytes()
    assert (other_exported / MODEL_FILE).read_bytes() != (exported / MODEL_FILE).read_bytes()


CONVERT = """
import sys
from dataclasses import replace
import keras
from steps.release.onnx_graph import to_onnx
sys.stdout.buffer.write(to_onnx(keras.models.load_model(sys.argv[1])))
"""


@pytest.mark.slow
def test_conversions_in_two_processes_are_equal(keras_model, tmp_path):
    keras_model.save(tmp_path / "model.keras")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CONVERT, str(tmp_path / "model.keras")],
            cwd=PROJECT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=subprocess.PIPE,
        )
        for hash_seed in ("1", "2")
    ]
    first, second = (process.communicate()[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert len(first) > 10_000 and first == second


def test_size_and_latency_are_those_of_the_released_graph(keras_model, exported):
    metrics = measure_onnx(keras_model)
    assert metrics["onnx_bytes"] == (exported / MODEL_FILE).stat().st_size
    assert 0 < metrics["latency_ms"] < 1000
