"""The ONNX graph: what it takes and gives, that it computes what Keras computes, and its bytes."""

import math
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from edge.inference.record import MODEL_FILE
from edge.inference.scoring import Scorer
from steps.evaluation.predictions import evaluate, keras_predict
from steps.release.onnx_graph import OPSET, TOLERANCE, ParityError, require_parity, to_onnx
from steps.settings.profile import PROJECT
from steps.training.networks import NETWORKS, build


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
    model = build(network, (32, 48), 3)
    session = onnxruntime.InferenceSession(to_onnx(model), providers=["CPUExecutionProvider"])
    pixels = _pixels(3, (32, 48))
    (scored,) = session.run(None, {session.get_inputs()[0].name: pixels})
    np.testing.assert_allclose(scored, keras_predict(model)(pixels), atol=1e-4)


@pytest.mark.parametrize("part", ["validation", "test"])
def test_parity_is_found_on_every_image_of_a_part(exported, keras_model, bright_cache, part):
    scorer = Scorer(exported)
    difference, count = require_parity(keras_model, scorer, bright_cache, part)
    assert count == bright_cache.rows(part)
    by_keras, by_onnx = (
        evaluate(predict, bright_cache, part).probabilities
        for predict in (keras_predict(keras_model), scorer.score_prepared)
    )
    assert difference == pytest.approx(np.abs(by_keras - by_onnx).max(), rel=0.01, abs=1e-7)
    assert difference < TOLERANCE


def test_the_graph_of_other_weights_is_refused(other_exported, keras_model, bright_cache):
    with pytest.raises(ParityError, match="from Keras; 0.0001 is allowed"):
        require_parity(keras_model, Scorer(other_exported), bright_cache, "test")


class _OffOnce:
    """A scorer that is off in one image, by as much as it is told."""

    def __init__(self, scorer: Scorer, off: float):
        self._scorer, self._off = scorer, off

    def score_prepared(self, pixels: np.ndarray) -> np.ndarray:
        scores = self._scorer.score_prepared(pixels)
        scores[0, 1] += self._off
        self._off = 0
        return scores


def test_one_image_that_is_off_is_enough(exported, keras_model, bright_cache):
    with pytest.raises(ParityError, match="ONNX is up to 2.*e-04 from Keras"):
        require_parity(keras_model, _OffOnce(Scorer(exported), 2.5e-4), bright_cache, "test")
    require_parity(keras_model, _OffOnce(Scorer(exported), 5e-5), bright_cache, "test")
    with pytest.raises(ParityError, match="up to nan"):
        require_parity(keras_model, _OffOnce(Scorer(exported), math.nan), bright_cache, "test")


def test_a_conversion_repeats_itself(exported, keras_model, other_exported):
    assert to_onnx(keras_model) == (exported / MODEL_FILE).read_bytes()
    assert (other_exported / MODEL_FILE).read_bytes() != (exported / MODEL_FILE).read_bytes()


CONVERT = """
import sys
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
