"""The released model as an MLflow pyfunc: a thin cover over the scoring core.

MLflow keeps this file's text with the model and runs it where the model is loaded, which needs
onnxruntime, numpy, Pillow and the ``edge`` folder that travels with it, nothing else of this
project.
"""

import base64
import binascii
import json
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
        columns = ["label", "score", *map(_column, self._scorer.record.labels)]
        return pd.DataFrame(self.rows(_flat(model_input["image"])), columns=columns)

    def rows(self, pictures: list[Any]) -> list[dict[str, Any]]:
        """What :meth:`predict` returns, as the rows of a JSON answer."""
        return [
            {"label": answer.label, "score": answer.score}
            | {_column(label): value for label, value in answer.probabilities.items()}
            for start in range(0, len(pictures), BATCH)
            for answer in self._scorer.record.answers(
                self._scorer.score_prepared(self._prepare(pictures[start : start + BATCH], start))
            )
        ]

    def _prepare(self, pictures: list[Any], first: int) -> np.ndarray:
        size = self._scorer.record.input_size
        prepared = []
        for row, picture in enumerate(pictures, start=first):
            try:
                prepared.append(prepare_bytes(_content(picture), size))
            except UnreadableError as error:
                raise _refused(row, str(error)) from error
        return np.stack(prepared)


def _column(label: str) -> str:
    return f"probability_{label}"


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


def _posted_pictures(data: Any, content_type: Any) -> list[str] | None:
    """The pictures of a request in the plainest of forms; None where it takes more to read it.

    That is JSON with the one key ``dataframe_split``, ``dataframe_records`` or ``inputs``, and
    below it nothing but base64 in the column ``image``.
    """
    if content_type != "application/json":
        return None
    body = json.loads(data)
    match body:
        case {"dataframe_split": {"columns": ["image"], "data": list(rows)} as frame}:
            pictures = [row[0] for row in rows if isinstance(row, list) and len(row) == 1]
            plain = len(frame) == 2
        case {"dataframe_records": list(rows)} | {"inputs": list(rows)}:
            pictures = [row.get("image") for row in rows if isinstance(row, dict) and len(row) == 1]
            plain = True
        case _:
            return None
    plain = plain and len(body) == 1 and len(pictures) == len(rows) > 0
    return pictures if plain and all(isinstance(cell, str) for cell in pictures) else None


def _answering(invocations: Callable) -> Callable:
    """MLflow's handler of requests, faster for plain ones and firmer with broken ones.

    What holds nothing but pictures is scored and answered without the two parsings, the tables and
    the checks that MLflow's server (3.17) has for requests of any kind, and that take as long as a
    small picture's decoding. Everything else is MLflow's. It answers 500 where there is no content
    type, where JSON is nested deeper than Python's stack, and where a number in it has thousands
    of digits; here that is a 400. What a model raises does not come this far.
    """

    from mlflow.pyfunc.scoring_server import InvocationsResponse

    @wraps(invocations)
    def answer(data: Any, content_type: Any, model: Any, input_schema: Any) -> Any:
        try:
            pictures = _posted_pictures(data, content_type)
            if pictures is None:
                return invocations(data, content_type, model, input_schema)
        except (AttributeError, RecursionError, ValueError) as error:
            raise MlflowException(
                f"the request cannot be read ({type(error).__name__}: {error}); post JSON with "
                "the header Content-Type: application/json",
                error_code=BAD_REQUEST,
            ) from error
        rows = model.unwrap_python_model().rows(pictures)
        return InvocationsResponse(
            response=json.dumps({"predictions": rows}), status=200, mimetype="application/json"
        )

    return answer


if "mlflow.pyfunc.scoring_server.app" in sys.modules:  # in a process of `mlflow models serve`
    from mlflow.pyfunc import scoring_server

    scoring_server.invocations = _answering(scoring_server.invocations)

set_model(PictureScorer())
