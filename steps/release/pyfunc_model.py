"""The released model as an MLflow pyfunc: a thin wrapper of the scoring core.

MLflow keeps this file's text with the model and runs it where the model is loaded. That needs
onnxruntime, numpy, Pillow, pybase64 and the ``edge/inference`` that travels with it, nothing else
of this project.
"""

import asyncio
import io
import json
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pybase64
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc import PythonModel

from edge.inference.errors import UnreadableError
from edge.inference.image import FORMATS, MAX_BYTES
from edge.inference.scoring import Scorer

BATCH = 64
"""Images that the network sees at once, which bounds the memory of a long request."""

MAX_BODY = 4 * MAX_BYTES // 3 + 2**20
"""Bytes of a request: the largest image fits as base64."""

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
JSON = "application/json"
TABLES: dict[str, Callable[[io.BytesIO], pd.DataFrame]] = {
    "text/csv": partial(pd.read_csv, dtype=str, keep_default_na=False),
    "application/vnd.apache.parquet": pd.read_parquet,
}
"""What reads the requests of MLflow's other two content types."""


class ImageScorer(PythonModel):  # type: ignore[misc]  # MLflow is not typed
    """Scores a column ``image`` of encoded images (bytes; base64 in a REST request).

    A column ``device`` may have the IDs of the devices that took them, which decide their regions.
    """

    def load_context(self, context: Any) -> None:
        """Load the network once; one thread, as a server has a process for each core."""
        self._scorer = Scorer(os.path.dirname(context.artifacts["model"]), threads=1)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Return ``label``, ``score``, ``name`` and a column of probabilities for each label.

        ``name`` is what people call the label; without such names there is no such column.

        Raises:
            MlflowException: a row is not an image, or its device not an ID, which a server answers
                with status 400.
        """
        record = self._scorer.record
        names = ["name"] if record.names else []
        columns = ["label", "score", *names, *map(_column, record.labels)]
        return pd.DataFrame(self.rows(*_table_images(model_input)), columns=columns)

    def rows(self, images: list[Any], devices: list[Any]) -> list[dict[str, Any]]:
        """Return what :meth:`predict` does, as the rows of a JSON answer.

        Args:
            images: bytes or base64.
            devices: that took them; None if it is unknown.
        """
        rows, names = [], self._scorer.record.names
        for first in range(0, len(images), BATCH):
            contents = [_content(*cell) for cell in enumerate(images[first : first + BATCH], first)]
            taken_by = [_device(*cell) for cell in enumerate(devices[first : first + BATCH], first)]
            for row, found in enumerate(self._scorer.predict_each(contents, taken_by), first):
                if isinstance(found, UnreadableError):
                    raise _refused(row, str(found)) from found
                rows.append(
                    {"label": found.label, "score": found.score}
                    | ({"name": names.get(found.label, found.label)} if names else {})
                    | {_column(label): value for label, value in found.probabilities.items()}
                )
        return rows


def _column(label: str) -> str:
    return f"probability_{label}"


def _table_images(table: pd.DataFrame) -> tuple[list[Any], list[Any]]:
    """Return the images of a table, and the devices that took them."""
    return _paired(_flat(table["image"]), _flat(table["device"]) if "device" in table else [None])


def _paired(images: list[Any], devices: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return both with the same length: one device took all images."""
    if len(devices) not in (1, len(images)):
        raise _RequestError("post a device for each image, or one for all")
    return images, devices * len(images) if len(devices) == 1 else devices


def _flat(column: Iterable[Any]) -> list[Any]:
    """The cells of a column: of ``{"inputs": {"image": […]}}`` MLflow makes one row, a list."""
    return [
        value
        for cell in column
        for value in (cell if isinstance(cell, list | np.ndarray) else [cell])
    ]


def _device(row: int, device: Any) -> str | None:
    """Return the ID of a device; None if it is unknown: a missing value or an empty text."""
    if device is None or device == "" or (isinstance(device, float) and np.isnan(device)):
        return None
    if isinstance(device, str):
        return device
    raise _RequestError(f'the device of image {row} is not a text, such as "7"')


def _content(row: int, image: Any) -> bytes:
    """Return the bytes of an image, given as they are or, as JSON has no bytes, as base64."""
    if isinstance(image, bytes):
        return image
    if not isinstance(image, str):
        raise _refused(row, f"{type(image).__name__} is neither base64 nor bytes")
    try:
        return pybase64.b64decode(image, validate=True)
    except ValueError:
        return _decode_other_base64(row, image)


def _decode_other_base64(row: int, text: str) -> bytes:
    """Decode base64 in lines, in the alphabet for URLs, without its padding, or of a data URL."""
    head, comma, data = text.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        text = data
    text = "".join(text.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return pybase64.b64decode(text + -len(text) % 4 * "=", validate=True)
    except ValueError as error:
        raise _refused(row, f"not base64: {error}") from error


def _refused(row: int, reason: str) -> MlflowException:
    return _RequestError(
        f"image {row} is refused: {reason}; post a {', '.join(FORMATS)} file, in JSON as base64"
    )


class _RequestError(MlflowException):  # type: ignore[misc]  # MLflow is not typed
    """A request that cannot be answered; its message holds nothing of the request's content."""

    def __init__(self, message: str, status: int = 400):
        super().__init__(message, error_code=BAD_REQUEST)
        self._status = status

    def get_http_status_code(self) -> int:
        return self._status


def _posted_images(body: bytes, content_type: str | None) -> tuple[list[Any], list[Any]]:
    """Return the images of a request, and the devices that took them.

    Its body is an image as it is, or has any of the forms that MLflow's server reads.

    Raises:
        _RequestError: it has another form.
    """
    mime_type, _, parameters = (content_type or "").lower().partition(";")
    mime_type, charset = mime_type.strip(), parameters.partition("charset=")[2].strip(' "')
    if not mime_type:
        raise _RequestError(f"post JSON with the header Content-Type: {JSON}")
    if mime_type.startswith("image/"):
        _, _, device = (content_type or "").partition("device=")
        return [body], [device.partition(";")[0].strip(' "')]
    if mime_type not in (JSON, *TABLES) or charset not in ("", "utf-8"):
        raise _RequestError(f"post {JSON} in UTF-8, an image, or {' or '.join(TABLES)}", status=415)
    try:
        content = TABLES[mime_type](io.BytesIO(body)) if mime_type in TABLES else json.loads(body)
    except Exception as error:  # readers of tables raise what they like, and may quote the table
        reason = f": {error}" if mime_type == JSON else ""
        raise _RequestError(
            f"the body is not {mime_type} that can be read ({type(error).__name__}{reason})"
        ) from error
    if mime_type == JSON:
        return _json_images(content)
    if "image" not in content:
        raise _RequestError("the table needs a column image")
    return _table_images(content)


def _json_images(content: Any) -> tuple[list[Any], list[Any]]:
    forms = [form for form in FORMS if isinstance(content, dict) and form in content]
    if len(forms) != 1:
        raise _RequestError(f"post a JSON object with one of {', '.join(FORMS)}")
    images: list[Any] = []
    devices: list[Any] = [None]
    rows: list[Any] = [None]
    match forms[0], content[forms[0]]:
        case "dataframe_split", {"columns": list(columns), "data": list(rows)}:
            if columns.count("image") == 1:
                table = [row for row in rows if isinstance(row, list) and len(row) == len(columns)]
                images = [row[columns.index("image")] for row in table]
                if "device" in columns:
                    devices = [row[columns.index("device")] for row in table]
        case "inputs" | "instances", {"image": column, **others}:
            images = rows = _flat([column])
            devices = _flat([others.get("device")])
        case "dataframe_records" | "inputs" | "instances", list(rows):
            records = [row for row in rows if isinstance(row, dict) and "image" in row]
            images = [row["image"] for row in records]
            devices = [row.get("device") for row in records]
    if len(images) != len(rows):
        raise _RequestError(f"each row of {forms[0]} needs an image, in the one column image")
    return _paired(images, devices)


def _answer_requests(scorer: ImageScorer) -> None:
    """Have the server of this process answer requests for scores before MLflow's routing does.

    MLflow's server (3.17, on FastAPI) parses JSON twice, makes tables of it and checks those, which
    takes as long as an image's decoding. What it refuses, it sends back with a trace. Its time
    limit stands around this.
    """
    import fastapi.applications
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import Response

    def scores(body: bytes, content_type: str | None) -> str:
        return json.dumps({"predictions": scorer.rows(*_posted_images(body, content_type))})

    async def answer(call_next: Callable[[Any], Any], request: Any) -> Any:
        if (request.method, request.url.path) != ("POST", "/invocations"):
            return await call_next(request)
        try:
            body = await _body(request)
            content = await asyncio.to_thread(scores, body, request.headers.get("content-type"))
        except MlflowException as error:
            status = error.get_http_status_code()
            return Response(error.serialize_as_json(), status, media_type=JSON)
        return Response(content, media_type=JSON)

    class ScoresFirst(BaseHTTPMiddleware):
        """What `app.middleware("http")` makes of MLflow's time limit: the limit, then `answer`."""

        def __init__(self, app: Any, dispatch: Callable[..., Any]):
            super().__init__(app, lambda request, go_on: dispatch(request, partial(answer, go_on)))

    fastapi.applications.BaseHTTPMiddleware = ScoresFirst  # type: ignore[attr-defined, assignment]


async def _body(request: Any) -> bytes:
    """Return a request's body; raises if it is longer than the largest image in base64."""
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > MAX_BODY:
            raise _RequestError(f"the body has more than {MAX_BODY} bytes", status=413)
    return b"".join(parts)


image_scorer = ImageScorer()

if "mlflow.pyfunc.scoring_server.app" in sys.modules:  # in a process of `mlflow models serve`
    _answer_requests(image_scorer)

set_model(image_scorer)
