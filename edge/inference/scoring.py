"""The scoring core: the one place where an image becomes a prediction.

Training fills its cache through :func:`prepare`; Spark, REST and the device score through
:class:`Scorer`: the same JPEG gets the same score in all of them.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge.inference.image import (
    DRAFTED,
    MAX_BYTES,
    SIDEWAYS,
    UPRIGHT,
    UnreadableError,
    as_rgb,
    open_image,
    orientation_of,
)
from edge.inference.record import MODEL_FILE, ModelRecord, Prediction

PREPARE_VERSION = "1"
"""Changes whenever :func:`prepare` computes other pixels: caches and models carry it."""

ImageSource = bytes | str | os.PathLike[str] | NDArray[np.uint8]
"""An encoded image as bytes, the path of one, or ``uint8 [h, w, 3]`` RGB pixels of a camera."""


def prepare(image: ImageSource, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Turn an image into the network's input.

    A JPEG is decoded at the smallest of its DCT scales (1, 1/2, 1/4, 1/8) that still covers
    ``size``, which skips most of the work for a large frame; the EXIF orientation is applied;
    the image is converted to RGB and resized (bilinear with antialiasing, the aspect ratio
    is not kept).

    Args:
        image: what is to be scored. Pixels of the wanted size, as from a camera's second
            stream, are returned as they are, without a copy.
        size: (height, width) in pixels.

    Returns:
        ``uint8 [height, width, 3]``, RGB, 0–255.

    Raises:
        UnreadableError: the image is damaged or too large, or the array is of another shape.
        OSError: the path cannot be read.

    >>> prepare(np.zeros((480, 640, 3), np.uint8), (128, 128)).shape
    (128, 128, 3)
    """
    if isinstance(image, np.ndarray):
        return _prepare_pixels(image, size)
    if not isinstance(image, bytes):
        with open(image, "rb") as file:
            image = file.read(MAX_BYTES + 1)
    with open_image(image) as opened:
        if opened.format not in DRAFTED:
            # A PNG is decoded to look for its EXIF: here an error of its pixels is none of EXIF.
            opened.load()
        upright = UPRIGHT.get(orientation_of(opened))
        height, width = size
        # the wanted size as the file stores it: some lie on their side
        opened.draft("RGB", (height, width) if upright in SIDEWAYS else (width, height))
        turned = opened if upright is None else opened.transpose(upright)
        return _resize(as_rgb(turned), size)


def _prepare_pixels(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        shape = f"expected uint8 [h, w, 3], got {pixels.dtype} {list(pixels.shape)}"
        raise UnreadableError("not an image", shape)
    if pixels.shape[:2] == size:
        return np.ascontiguousarray(pixels)
    try:
        return _resize(Image.fromarray(pixels), size)
    except MemoryError as error:
        raise UnreadableError("too large", f"{list(pixels.shape)} pixels") from error


def _resize(image: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = size
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


class Scorer:
    """A released model, ready to score: onnxruntime over :func:`prepare`.

    Args:
        folder: holds ``model.onnx`` and ``record.json``.
        threads: onnxruntime's intra-op threads; 0 leaves the choice to onnxruntime.
        model_file: another network than ``model.onnx``, such as ``model.int8.onnx``.

    Raises:
        FileNotFoundError: a file is missing in ``folder``.
        edge.inference.record.RecordError: the record does not fit this code.

    Example::

        scorer = Scorer("models/current")
        (prediction,) = scorer.predict(["porch.jpg"])
        print(prediction.label, prediction.score)
    """

    def __init__(
        self, folder: str | os.PathLike[str], threads: int = 0, model_file: str = MODEL_FILE
    ):
        import onnxruntime  # here, so that preparing an image loads no runtime

        folder = Path(folder)
        self.record = ModelRecord.read(folder)
        self.record.require_prepare(PREPARE_VERSION)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait for the next image by spinning would take a core for nothing.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(folder / model_file), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def predict(self, images: Iterable[ImageSource]) -> list[Prediction]:
        """Return a prediction for each image, in their order.

        Raises:
            UnreadableError: the first image that is one; see :meth:`predict_each`.
            OSError: a path cannot be read.
            ValueError: the network's output is not probabilities.
        """
        return [_require_prediction(found) for found in self.predict_each(images)]

    def predict_each(self, images: Iterable[ImageSource]) -> list[Prediction | UnreadableError]:
        """Return a prediction for each image, or why that one is unreadable, in their order.

        Raises:
            OSError, ValueError: as :meth:`predict`.
        """
        found: list[UnreadableError | float] = []
        pixels: list[NDArray[np.uint8]] = []
        for image in images:
            began = time.perf_counter()
            try:
                pixels.append(prepare(image, self.record.input_size))
                found.append(1000 * (time.perf_counter() - began))
            except UnreadableError as error:
                found.append(error)
        predictions = iter(self._predict_prepared(pixels))
        return [
            one
            if isinstance(one, UnreadableError)
            else (prediction := next(predictions))._replace(latency_ms=one + prediction.latency_ms)
            for one in found
        ]

    def _predict_prepared(self, pixels: list[NDArray[np.uint8]]) -> list[Prediction]:
        if not pixels:
            return []
        began = time.perf_counter()
        probabilities = self.score_prepared(np.stack(pixels))
        ms = 1000 * (time.perf_counter() - began) / len(pixels)
        expected = len(pixels), len(self.record.labels)
        if probabilities.shape != expected or not np.isfinite(probabilities).all():
            values = " ".join(map(str, probabilities.ravel()[:4]))
            raise ValueError(
                f"{list(probabilities.shape)} {values} are not probabilities of "
                f"{expected[1]} classes"
            )
        return self.record.decode(probabilities, ms)

    def score_prepared(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score ``uint8 [N, H, W, 3]`` from :func:`prepare`; returns ``float32 [N, classes]``."""
        probabilities: NDArray[np.float32] = self._session.run(None, {self._input: pixels})[0]
        return probabilities


def _require_prediction(found: Prediction | UnreadableError) -> Prediction:
    if isinstance(found, UnreadableError):
        raise found
    return found
