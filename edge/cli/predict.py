"""Images scored by a server: a small client of ``mlflow models serve``."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import requests

from edge.inference.errors import UserError
from edge.protocol.addresses import without_userinfo

CONNECT_SECONDS, READ_SECONDS = 5.0, 120.0
IMAGES_A_REQUEST = 16

REFUSED = re.compile(r"\bimage (\d+) (is refused: .*)", re.DOTALL)
"""How a server names an image that it refuses: by its place in the request, from 0."""


class PredictError(UserError):
    """The server gives no scores."""


def predict(server: str, files: list[Path]) -> Iterator[dict]:
    """Post images as they are, and yield what the server answers, in order.

    Args:
        server: the scoring server's address, such as ``http://127.0.0.1:5001``.
        files: encoded images.

    Yields:
        For each file: ``file``, ``label``, ``score``, and a probability for each label.

    Raises:
        PredictError: a file cannot be read, there is no server, or it refuses an image; the
            message names the file and has the reason.
    """
    with requests.Session() as session:
        for start in range(0, len(files), IMAGES_A_REQUEST):
            posted = files[start : start + IMAGES_A_REQUEST]
            answers = _post(session, server.rstrip("/"), posted)
            for file, answer in zip(posted, answers, strict=True):
                yield {"file": file.name, **answer}


def _post(session: requests.Session, server: str, files: list[Path]) -> list[dict]:
    shown = without_userinfo(server)
    rows = [[base64.b64encode(_content(file)).decode()] for file in files]
    try:
        answer = session.post(
            f"{server}/invocations",
            json={"dataframe_split": {"columns": ["image"], "data": rows}},
            timeout=(CONNECT_SECONDS, READ_SECONDS),
        )
        said = answer.json()
        if answer.ok:
            return said["predictions"]
        reason = _by_name(str(said["message"]), files)
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.MissingSchema) as error:
        raise PredictError(
            f"no scoring server answers at {shown}; start one: mlflow models serve "
            "-m models:/<name>-onnx@champion --env-manager local --port 5001"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise PredictError(f"{shown} does not answer as a scoring server: check it") from error
    raise PredictError(" ".join(reason.split()))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise PredictError(f"cannot read {file}: {error.strerror}; name an image") from error


def _by_name(message: str, files: list[Path]) -> str:
    """A server's reason with the name of the file that it means; of all where it names none."""
    refused = REFUSED.search(message)
    if refused and int(refused[1]) < len(files):
        return f"{files[int(refused[1])]} {refused[2]}"
    reason = message.rpartition("Error: ")[2]
    return f"{reason} ({', '.join(file.name for file in files)})"
