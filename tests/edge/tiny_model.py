"""A model so small that its scores can be worked out by hand, and the statement of its release."""

import io
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edge.inference.record import ModelRecord
from edge.inference.reference_images import ReferenceImage, ReferenceImages
from edge.inference.scoring import Scorer
from edge.protocol.release import sha256_of


def write_model(folder: Path, steepness: float = 0.05, **record) -> Path:
    """A model of two classes, "dark" and "bright", that goes by the mean of the pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = np.array([[-1, 1]] * 3, np.float32) * steepness / 3
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["floats"], ["means"], axes=[1, 2], keepdims=0),
            helper.make_node("Sub", ["means", "middle"], ["centred"]),
            helper.make_node("MatMul", ["centred", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "brightness",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 64, 48, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.float32([127.5]), "middle"),
        ],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    onnx.save(model, folder / "model.onnx")
    fields = {"labels": ["dark", "bright"], "input_size": (64, 48), "prepare_version": "1"}
    files = {"model.onnx": sha256_of(folder / "model.onnx")}
    ModelRecord(**{**fields, "files": files, **record}).write(folder)
    return folder


def probabilities(scorer: Scorer, images: list) -> np.ndarray:
    """Return what a model predicts, ``float32 [images, classes]``."""
    return np.float32([list(found.probabilities.values()) for found in scorer.predict(images)])


def write_reference_images(folder: Path) -> Path:
    """reference images beside a model, dark and bright, with the scores that it has."""
    scorer, images = Scorer(folder, threads=1), []
    for value in (40, 110, 140, 220):
        encoded = io.BytesIO()
        Image.new("RGB", (48, 64), (value, value, value)).save(encoded, "JPEG")
        content = encoded.getvalue()
        (prediction,) = scorer.predict([content])
        scores = list(prediction.probabilities.values())
        images.append(ReferenceImage(content, {"model.onnx": scores}))
    ReferenceImages(tuple(images)).write(folder)
    return folder


def statement(folder: Path, model: str, version: str, release: int = 1) -> dict:
    """The release statement of a folder's files."""
    return {
        "release": release,
        "model": model,
        "version": version,
        "files": {
            f"artifacts/{path.name}": {"sha256": sha256_of(path), "bytes": path.stat().st_size}
            for path in sorted(folder.iterdir())
        },
    }
