"""The released model as an MLflow pyfunc: a thin wrapper of the scoring core.

MLflow keeps this file's text with the model and runs it where the model is loaded. That needs
onnxruntime, numpy, Pillow, pybase64 and the ``edge/inference`` that travels with it, nothing else
of this project.
"""

import asyncio
import binascii
import json
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import Any

import numpy as np
import pandas as pd
import pybase64
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc import PythonModel

from edge.inference.image import FORMATS, UnreadableError
from edge.inference.scoring import Scorer

BATCH = 64
"""Images that the network sees at once, which bounds the memory of a long request."""


class ImageScorer(PythonModel):  # type: ignore[misc]  # MLflow is not typed
    """Scores a column ``image`` of encoded images (bytes; base64 in a REST request)."""

    def load_context(self, context: Any) -> None:
        """Load the network once; one thread, as a server has a process for each core."""
        self._scorer = Scorer(os.path.dirname(context.artifacts["model"]), threads=1)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Return ``label``, ``score`` and a column of probabilities for each label.

        Raises:
            MlflowException: a row is not an image, which a server answers with status 400.
        """
        columns = ["label", "score", *map(_column, self._scorer.record.labels)]
        return pd.DataFrame(self.rows(_flat(model_input["image"])), columns=columns)

    def rows(self, images: list[Any]) -> list[dict[str, Any]]:
        """Return what :meth:`predict` does, as the rows of a JSON answer."""
        rows = []
        for first in range(0, len(images), BATCH):
            contents = [_content(*cell) for cell in enumerate(images[first : first + BATCH], first)]
            for row, found in enumerate(self._scorer.predict_each(contents), first):
                if isinstance(found, UnreadableError):
                    raise _refused(row, str(found)) from found
                rows.append(
                    {"label": found.label, "score": found.score}
                    | {_column(label): value for label, value in found.probabilities.items()}
                )
        return rows


def _column(label: str) -> str:
    return f"probability_{label}"


def _flat(column: Iterable[Any]) -> list[Any]:
    """The images of a column: of ``{"inputs": {"image": […]}}`` MLflow makes one row, a list."""
    return [
        image
        for cell in column
        for image in (cell if isinstance(cell, list | np.ndarray) else [cell])
    ]


def _content(row: int, image: Any) -> bytes:
    """Return the bytes of an image, given as they are or, as JSON has no bytes, as base64."""
    if isinstance(image, bytes):
        return image
    if not isinstance(image, str):
        raise _refused(row, f"{type(image).__name__} is neither base64 nor bytes")
    try:
        return pybase64.b64decode(image, validate=True)
    except (binascii.Error, ValueError) as error:
        lines = image.split()
        if len(lines) > 1:  # as the command base64 writes it
            return _content(row, "".join(lines))
        raise _refused(row, f"not base64: {error}") from error


def _refused(row: int, reason: str) -> MlflowException:
    return MlflowException.invalid_parameter_value(
        f"image {row} is refused: {reason}; post a {', '.join(FORMATS)} file, in JSON as base64"
    )


def _posted_images(data: Any, content_type: Any) -> list[str] | None:
    """Return the images of a request in the plainest of forms; None if it has another form.

    That is JSON with the one key ``dataframe_split``, ``dataframe_records`` or ``inputs``, and
    below it nothing but base64 in the column ``image``.
    """
    if content_type != "application/json":
        return None
    body = json.loads(data)
    match body:
        case {"dataframe_split": {"columns": ["image"], "data": list(rows)} as frame}:
            images = [row[0] for row in rows if isinstance(row, list) and len(row) == 1]
            plain = len(frame) == 2
        case {"dataframe_records": list(rows)} | {"inputs": list(rows)}:
            images = [row.get("image") for row in rows if isinstance(row, dict) and len(row) == 1]
            plain = True
        case _:
            return None
    plain = plain and len(body) == 1 and len(images) == len(rows) > 0
    return images if plain and all(isinstance(cell, str) for cell in images) else None


def _answer_plain_requests(scorer: ImageScorer) -> None:
    """Have the server of this process answer plain requests before MLflow's routing sees them.

    What holds nothing but images needs none of the routing, the two parsings, the tables and the
    checks that MLflow's server (3.17, on FastAPI) has for requests of any kind, and that take as
    long as an image's decoding. Everything else, what is wrong with an image too, goes MLflow's
    way. A request of either kind has MLflow's time limit, which stands around this.
    """
    import fastapi.applications
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import Response

    def plain_answer(body: bytes, content_type: str | None) -> str | None:
        try:
            images = _posted_images(body, content_type)
            return None if images is None else json.dumps({"predictions": scorer.rows(images)})
        except (MlflowException, RecursionError, ValueError):
            return None  # MLflow's way says why

    async def answer(call_next: Callable[[Any], Any], request: Any) -> Any:
        if (request.method, request.url.path) == ("POST", "/invocations"):
            asked = await request.body(), request.headers.get("content-type")
            if (plain := await asyncio.to_thread(plain_answer, *asked)) is not None:
                return Response(plain, media_type="application/json")
        return await call_next(request)

    class PlainFirst(BaseHTTPMiddleware):
        """What `app.middleware("http")` makes of MLflow's time limit: the limit, then `answer`."""

        def __init__(self, app: Any, dispatch: Callable[..., Any]):
            super().__init__(app, lambda request, go_on: dispatch(request, partial(answer, go_on)))

    fastapi.applications.BaseHTTPMiddleware = PlainFirst  # type: ignore[attr-defined, assignment]


def _refuse_unreadable_requests() -> None:
    """Answer 400 if MLflow's server (3.17) answers 500 to what it cannot read.

    That is if there is no content type, if JSON is nested deeper than Python's stack, or if a
    number in it has thousands of digits. What a model raises does not come this far.
    """
    from mlflow.pyfunc import scoring_server

    invocations = scoring_server.invocations

    @wraps(invocations)
    def answer(*request: Any) -> Any:
        try:
            return invocations(*request)
        except (AttributeError, RecursionError, ValueError) as error:
            raise MlflowException(
                f"the request cannot be read ({type(error).__name__}: {error}); post JSON with "
                "the header Content-Type: application/json",
                error_code=BAD_REQUEST,
            ) from error

    scoring_server.invocations = answer


image_scorer = ImageScorer()

if "mlflow.pyfunc.scoring_server.app" in sys.modules:  # in a process of `mlflow models serve`
    _answer_plain_requests(image_scorer)
    _refuse_unreadable_requests()

set_model(image_scorer)
