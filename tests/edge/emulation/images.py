"""Generated images of every kind that a landing zone may hold, and a small network of layers."""

import itertools
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edge.inference.prepare import PREPARE_VERSION
from edge.inference.record import ModelRecord
from edge.protocol.release import sha256_of

SIZE = (128, 128)
JPEG_MODES = ("RGB", "L", "CMYK", "YCbCr")
PNG_MODES = ("RGB", "RGBA", "LA", "L", "P", "1", "I;16")


def scene(height: int, width: int, seed: int) -> np.ndarray:
    """``uint8 [height, width, 3]``: waves with noise on them."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    period, phase = rng.uniform(9, 90, (2, 3)), rng.uniform(0, 6, 3)
    waves = [np.sin(row / period[0, c] + column / period[1, c] + phase[c]) for c in range(3)]
    noise = rng.normal(0, 9, (height, width, 3))
    return (128 + 100 * np.stack(waves, 2) + noise).clip(0, 255).astype(np.uint8)


def generate(folder: Path) -> list[Path]:
    """Write images of all orientations, modes and of odd sizes; returns their paths."""
    paths = []

    def save(image: Image.Image, name: str, **options) -> None:
        paths.append(folder / name)
        image.save(paths[-1], **options)

    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        save(Image.fromarray(scene(480, 640, orientation)), f"turned{orientation}.jpg", exif=exif)
    for seed, (height, width) in enumerate([(1, 1), (7, 3), (63, 65), (601, 599), (1944, 2592)]):
        save(Image.fromarray(scene(height, width, seed)), f"{width}x{height}.jpg", quality=92)
    image = Image.fromarray(scene(241, 319, 99))
    for mode in JPEG_MODES:
        save(image.convert(mode), f"{mode}.jpg", progressive=True)
    for subsampling in (0, 1, 2):
        save(image, f"subsampling{subsampling}.jpg", quality=75, subsampling=subsampling)
    for mode in PNG_MODES:
        save(_of_mode(image, mode), f"{mode.replace(';', '')}.png")
    save(image, "lossy.webp", quality=80)
    save(image, "palette.bmp")
    return paths


def _of_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    return image.convert(mode)


def write_network(folder: Path, seed: int = 0) -> Path:
    """A network with random weights and the layers of a real one: ``uint8 [N, H, W, 3]`` to two
    probabilities through three convolutions."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["x0"], perm=[0, 3, 1, 2]),
    ]
    constants = {"scale": np.float32([1 / 255])}
    channels = (3, 16, 32, 64)
    for layer, (before, after) in enumerate(itertools.pairwise(channels), 1):
        constants[f"w{layer}"] = rng.normal(0, (2 / 9 / before) ** 0.5, (after, before, 3, 3))
        nodes += [
            helper.make_node(
                "Conv", [f"x{layer - 1}", f"w{layer}"], [f"c{layer}"], strides=[2, 2], pads=[1] * 4
            ),
            helper.make_node("Relu", [f"c{layer}"], [f"x{layer}"]),
        ]
    constants["dense"] = rng.normal(0, 0.5, (channels[-1], 2))
    nodes += [
        helper.make_node("ReduceMean", ["x3"], ["features"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["features", "dense"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "random",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", *SIZE, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(v.astype(np.float32), name) for name, v in constants.items()],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / "model.onnx")
    ModelRecord(
        labels=["0", "1"],
        input_size=SIZE,
        prepare_version=PREPARE_VERSION,
        files={"model.onnx": sha256_of(folder / "model.onnx")},
    ).write(folder)
    return folder
