"""``python -m edge predict``: a small client of ``mlflow models serve``."""

import base64
import errno
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import urllib3

from edge.inference.errors import UserError
from edge.inference.image import MAX_BYTES
from edge.protocol.addresses import shown_address
from edge.update.client import Client

CONNECT_SECONDS, READ_SECONDS = 5.0, 120.0
IMAGES_PER_REQUEST = 16

REFUSAL = re.compile(r"\bimage (\d+) (is refused: .*)", re.DOTALL)
"""A server's message about an image that it refuses, by its place in the request, from 0."""


def predict(server: str, files: list[Path], device: str = "") -> Iterator[dict[str, Any]]:
    """Post images as they are, and yield the server's predictions; a bad file costs no other one.

    Args:
        server: the scoring server's address, such as ``http://127.0.0.1:5001``.
        files: encoded images.
        device: the ID of the device that took them, if it is known.

    Yields:
        For each good file, in order: ``file``, ``label``, ``score``, a probability for each label
        and, if the labels have names, ``name``.

    Raises:
        UserError: there is no server; or, after the last file, some cannot be read or are
            refused; the message has their names and reasons.
    """
    bad: list[str] = []
    client, address = Client(server.rstrip("/")), shown_address(server)
    for start in range(0, len(files), IMAGES_PER_REQUEST):
        batch = list(_readable(files[start : start + IMAGES_PER_REQUEST], bad))
        while batch:
            answer = _post(client, address, batch, device)
            if isinstance(answer, list):
                for (file, _), prediction in zip(batch, answer, strict=True):
                    yield {"file": file.name, **prediction}
                break
            file, _ = batch.pop(int(answer[1]))
            bad.append(f"{file} {' '.join(answer[2].split())}")
    if bad:
        raise UserError("; ".join(bad))


def _readable(files: list[Path], bad: list[str]) -> Iterator[tuple[Path, str]]:
    """Yield the files that can be read, with their content as base64; add why others cannot."""
    for file in files:
        try:
            yield file, base64.b64encode(_content(file)).decode()
        except OSError as error:
            bad.append(f"cannot read {file}: {error.strerror}; name an image")


def _content(file: Path) -> bytes:
    """Return a file's bytes; raises :class:`OSError` if it cannot be an image's."""
    if file.exists() and not (file.is_file() or file.is_dir()):  # a device or pipe may have no end
        raise OSError(errno.EINVAL, "it is not a regular file")
    with file.open("rb") as opened:
        content = opened.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {MAX_BYTES} bytes")
    return content


def _post(
    client: Client, address: str, batch: list[tuple[Path, str]], device: str
) -> list[dict[str, Any]] | re.Match[str]:
    """Return the predictions, or the server's refusal of one of the images."""
    rows = [[content, device] for _, content in batch]
    try:
        answer = client.request(
            "POST",
            "/invocations",
            json={"dataframe_split": {"columns": ["image", "device"], "data": rows}},
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
        )
        content = json.loads(answer.read())
        if answer.status < 400:
            return _predictions(content["predictions"], len(batch))
        reason = str(content["message"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:  # a malformed address too
        raise UserError(
            f"{address} does not answer as a scoring server: check the address"
        ) from error
    except urllib3.exceptions.HTTPError as error:
        raise UserError(
            f"no scoring server answers at {address}; start one: mlflow models serve "
            "-m models:/<name>-onnx@champion --env-manager local --port 5001"
        ) from error
    refusal = REFUSAL.search(reason)
    if refusal and int(refusal[1]) < len(batch):
        return refusal
    names = ", ".join(file.name for file, _ in batch)
    raise UserError(f"{' '.join(reason.rpartition('Error: ')[2].split())} ({names})")


def _predictions(stated: Any, count: int) -> list[dict[str, Any]]:
    """Return the predictions of a number of images; a ``ValueError`` if they are none."""
    if not (isinstance(stated, list) and len(stated) == count and all(map(_is_prediction, stated))):
        raise ValueError("these are no predictions of images")
    return stated


def _is_prediction(row: Any) -> bool:
    return isinstance(row, dict) and "label" in row and type(row.get("score")) in (int, float)
