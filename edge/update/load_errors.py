"""What onnxruntime raises for a network that it cannot load or run."""

from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors

LOAD_ERRORS = (
    onnxruntime_errors.Fail,
    onnxruntime_errors.InvalidArgument,
    onnxruntime_errors.InvalidGraph,
    onnxruntime_errors.InvalidProtobuf,
    onnxruntime_errors.NotImplemented,
    onnxruntime_errors.RuntimeException,
)
"""They have no common base class."""
