"""``python -m edge predict``: a small client of ``mlflow models serve``."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import requests

from edge.inference.errors import UserError
from edge.protocol.addresses import without_userinfo

CONNECT_SECONDS, READ_SECONDS = 5.0, 120.0
IMAGES_PER_REQUEST = 16

REFUSAL = re.compile(r"\bimage (\d+) (is refused: .*)", re.DOTALL)
"""A server's message about an image that it refuses, by its place in the request, from 0."""


class PredictError(UserError):
    """The server returns no scores."""


def predict(server: str, files: list[Path]) -> Iterator[dict[str, Any]]:
    """Post images as they are, and yield the server's predictions, in order.

    Args:
        server: the scoring server's address, such as ``http://127.0.0.1:5001``.
        files: encoded images.

    Yields:
        For each file: ``file``, ``label``, ``score``, and a probability for each label.

    Raises:
        PredictError: a file cannot be read, there is no server, or it refuses an image; the
            message has the file's name and the reason.
    """
    with requests.Session() as session:
        for start in range(0, len(files), IMAGES_PER_REQUEST):
            batch = files[start : start + IMAGES_PER_REQUEST]
            predictions = _post(session, server.rstrip("/"), batch)
            for file, prediction in zip(batch, predictions, strict=True):
                yield {"file": file.name, **prediction}


def _post(session: requests.Session, server: str, files: list[Path]) -> list[dict[str, Any]]:
    address = without_userinfo(server)
    rows = [[base64.b64encode(_content(file)).decode()] for file in files]
    try:
        answer = session.post(
            f"{server}/invocations",
            json={"dataframe_split": {"columns": ["image"], "data": rows}},
            timeout=(CONNECT_SECONDS, READ_SECONDS),
        )
        content = answer.json()
        if answer.ok:
            return cast(list[dict[str, Any]], content["predictions"])
        reason = _with_file_name(str(content["message"]), files)
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.MissingSchema) as error:
        raise PredictError(
            f"no scoring server answers at {address}; start one: mlflow models serve "
            "-m models:/<name>-onnx@champion --env-manager local --port 5001"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise PredictError(
            f"{address} does not answer as a scoring server: check the address"
        ) from error
    raise PredictError(" ".join(reason.split()))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise PredictError(f"cannot read {file}: {error.strerror}; name an image") from error


def _with_file_name(message: str, files: list[Path]) -> str:
    """Return a server's reason with the name of its file, or of all files if it names none."""
    refusal = REFUSAL.search(message)
    if refusal and int(refusal[1]) < len(files):
        return f"{files[int(refusal[1])]} {refusal[2]}"
    reason = message.rpartition("Error: ")[2]
    return f"{reason} ({', '.join(file.name for file in files)})"
