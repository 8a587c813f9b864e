"""The scoring core: the one place where an image becomes a prediction.

Spark, REST and the device score through :class:`Scorer`, and training fills its cache through the
same ``prepare``: the same JPEG gets the same score in all of them.
"""

import os
import time
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.inference.errors import UnreadableError
from edge.inference.prediction import Prediction
from edge.inference.prepare import PREPARE_VERSION, ImageSource, prepare
from edge.inference.record import MODEL_FILE, ModelRecord
from edge.inference.region import region_of

MAX_SUM_ERROR = 1e-3
"""Of the sum of an image's probabilities: rounding is far below it."""


class Scorer:
    """A released model, ready to score: onnxruntime over :func:`prepare`.

    Args:
        folder: holds ``model.onnx`` and ``record.json``.
        threads: onnxruntime's intra-op threads; 0 leaves the choice to onnxruntime.
        model_file: another network than ``model.onnx``, such as ``model.int8.onnx``.

    Raises:
        FileNotFoundError: a file is missing in ``folder``.
        edge.inference.errors.RecordError: the record does not fit this code.

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
        # Threads wait for each other by spinning, but not for the next image, which would take a
        # core for nothing.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = onnxruntime.InferenceSession(
            str(folder / model_file), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def predict(self, images: Iterable[ImageSource], device: str = "") -> list[Prediction]:
        """Return a prediction for each image, in their order.

        Args:
            images: to score.
            device: the ID of the device that took them, which decides their region; if empty, it
                is the one for other devices.

        Raises:
            UnreadableError: the first image that is one; see :meth:`predict_each`.
            OSError: a path cannot be read.
            ValueError: the network's output is not probabilities.
        """
        return [_require_prediction(found) for found in self.predict_each(images, repeat(device))]

    def predict_each(
        self, images: Iterable[ImageSource], devices: Iterable[str | None] = repeat("")
    ) -> list[Prediction | UnreadableError]:
        """Return a prediction for each image, or why that one is unreadable, in their order.

        Args:
            images: to score.
            devices: the ID of the device that took each; None if it is unknown.

        Raises:
            OSError, ValueError: as :meth:`predict`.
        """
        record = self.record
        found: list[UnreadableError | float] = []
        pixels: list[NDArray[np.uint8]] = []
        for image, device in zip(images, devices, strict=False):
            began, region = time.perf_counter(), region_of(record.regions, device)
            try:
                pixels.append(prepare(image, record.input_size, record.resizing, region))
                found.append(1000 * (time.perf_counter() - began))
            except UnreadableError as error:
                found.append(error)
        predictions = iter(self.predict_prepared(pixels))
        return [
            one
            if isinstance(one, UnreadableError)
            else (prediction := next(predictions))._replace(latency_ms=one + prediction.latency_ms)
            for one in found
        ]

    def predict_prepared(self, pixels: list[NDArray[np.uint8]]) -> list[Prediction]:
        """Return a prediction for each array from :func:`prepare`, in their order.

        Raises:
            ValueError: as :meth:`predict`.
        """
        if not pixels:
            return []
        began = time.perf_counter()
        probabilities = self.score_prepared(np.stack(pixels))
        ms = 1000 * (time.perf_counter() - began) / len(pixels)
        expected = len(pixels), len(self.record.labels)
        if probabilities.shape != expected or not _are_probabilities(probabilities):
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


def _are_probabilities(rows: NDArray[np.floating[Any]]) -> bool:
    """Return whether all numbers are in 0–1, and those of each row add up to 1."""
    return bool((rows >= 0).all() and (np.abs(rows.sum(axis=1) - 1) < MAX_SUM_ERROR).all())


def _require_prediction(found: Prediction | UnreadableError) -> Prediction:
    if isinstance(found, UnreadableError):
        raise found
    return found
