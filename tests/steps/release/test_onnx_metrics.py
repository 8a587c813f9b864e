"""Size and latency of an ONNX graph, as promotion rules limit them."""

from edge.inference.record import MODEL_FILE, ModelRecord
from steps.release.onnx_metrics import measure_onnx


def test_size_and_latency_are_those_of_the_released_graph(keras_model, exported):
    metrics = measure_onnx(keras_model, ModelRecord.read(exported))
    assert metrics["onnx_bytes"] == (exported / MODEL_FILE).stat().st_size
    assert 0 < metrics["latency_ms"] < 1000
