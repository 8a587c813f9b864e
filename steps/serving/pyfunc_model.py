"""The released model as an MLflow pyfunc: a thin cover over the scoring core.

MLflow keeps this file's text with the model and runs it where the model is loaded, which needs
onnxruntime, numpy, Pillow and the ``edge`` folder that travels with it, nothing else of this
project.
"""

import base64
import binascii
import os
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc import PythonModel

from edge.scoring import Scorer, UnreadableError, prepare_bytes

BATCH = 64
"""Pictures that the network sees at once, which bounds the memory of a long request."""


class PictureScorer(PythonModel):
    """Scores a column ``image`` of encoded pictures (bytes; base64 in a REST request)."""

    def load_context(self, context: Any) -> None:
        """Load the network once; one thread, as a server has a process for each core."""
        self._scorer = Scorer(os.path.dirname(context.artifacts["model"]), threads=1)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Return ``label``, ``score`` and a column of probabilities for each label.

        Raises:
            MlflowException: a row is no picture, which a server answers with status 400.
        """
        record = self._scorer.record
        pictures = _flat(model_input["image"])
        scored = [
            self._scorer.score_prepared(self._prepare(pictures[start : start + BATCH], start))
            for start in range(0, len(pictures), BATCH)
        ]
        probabilities = np.concatenate([np.empty((0, len(record.labels)), np.float32), *scored])
        decided = record.decide(probabilities)
        return pd.DataFrame(
            {
                "label": [record.labels[index] for index in decided],
                "score": probabilities[np.arange(len(decided)), decided],
                **{
                    f"probability_{label}": probabilities[:, index]
                    for index, label in enumerate(record.labels)
                },
            }
        )

    def _prepare(self, pictures: list[Any], first: int) -> np.ndarray:
        size = self._scorer.record.input_size
        prepared = []
        for row, picture in enumerate(pictures, start=first):
            try:
                prepared.append(prepare_bytes(_content(picture), size))
            except UnreadableError as error:
                raise _refused(row, str(error)) from error
        return np.stack(prepared)


def _flat(column: Iterable[Any]) -> list[Any]:
    """The pictures of a column: of ``{"inputs": {"image": […]}}`` MLflow makes one row, a list."""
    return [
        picture
        for cell in column
        for picture in (cell if isinstance(cell, list | np.ndarray) else [cell])
    ]


def _content(picture: Any) -> bytes:
    """The bytes of a picture, given as they are or, as JSON has no bytes, as base64."""
    if isinstance(picture, bytes):
        return picture
    if not isinstance(picture, str):
        raise UnreadableError(f"{type(picture).__name__} is neither base64 nor bytes")
    try:
        return base64.b64decode(picture, validate=True)
    except (binascii.Error, ValueError) as error:
        lines = picture.split()
        if len(lines) > 1:  # as the command base64 writes it
            return _content("".join(lines))
        raise UnreadableError(f"not base64: {error}") from error


def _refused(row: int, reason: str) -> MlflowException:
    return MlflowException.invalid_parameter_value(
        f"image {row} is refused: {reason}; an image is a JPEG, PNG, WebP, TIFF or BMP file, "
        "in JSON as base64"
    )


def _refusing(invocations: Callable) -> Callable:
    """MLflow's handler of requests, refusing the bodies over which its own parsing falls.

    Its server (3.17) answers 500 where there is no content type, where JSON is nested deeper
    than Python's stack, and where a number in it has thousands of digits. What a model raises
    does not come this far.
    """

    @wraps(invocations)
    def answer(*arguments: Any, **named: Any) -> Any:
        try:
            return invocations(*arguments, **named)
        except (AttributeError, RecursionError, ValueError) as error:
            raise MlflowException(
                f"the request cannot be read ({type(error).__name__}: {error}); post JSON with "
                "the header Content-Type: application/json",
                error_code=BAD_REQUEST,
            ) from error

    return answer


if "mlflow.pyfunc.scoring_server.app" in sys.modules:  # in a process of `mlflow models serve`
    from mlflow.pyfunc import scoring_server

    scoring_server.invocations = _refusing(scoring_server.invocations)

set_model(PictureScorer())
