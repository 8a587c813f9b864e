"""Labels as Label Studio's JSON: a list of tasks, each with the annotations of an image."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from steps.errors import UserError

UPLOADED = re.compile(r"[0-9a-f]{8}-")
"""What Label Studio puts before the name of an uploaded file."""


def parse_tasks(content: bytes, key: str, file: str) -> list[tuple[str, str]]:
    """Return the key and the label of each annotation that was submitted.

    Args:
        content: an export as JSON.
        key: file_name, path or sha256: a field of a task's data. ``file_name`` is otherwise taken
            from the address of the image.
        file: for messages.

    Raises:
        UserError: it is another kind of file, or the tasks lack the key.
    """
    try:
        tasks = json.loads(content)
        labels = [(_key(task["data"], key), label) for task in tasks for label in _labels_of(task)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{file} is not Label Studio's export of classes ({type(error).__name__}: {error}); "
            "choose JSON there, not JSON-MIN, and pass -P labels=<that file>"
        ) from error
    if labels and not any(found for found, _ in labels):
        raise UserError(
            f"the tasks of {file} have no {key} in their data; pass -P labels_by=<file_name, path "
            "or sha256>"
        )
    return [(found, label) for found, label in labels if found]


def _labels_of(task: dict[str, Any]) -> Iterator[str]:
    """Yield the labels of a task; an annotation that was skipped has none."""
    for annotation in task["annotations"]:
        if not annotation.get("was_cancelled"):
            for result in annotation["result"]:
                if result["type"] == "choices":
                    yield from (str(one) for one in result["value"]["choices"] if one is not None)


def _key(data: dict[str, Any], key: str) -> str:
    if key in data or key != "file_name":
        return str(data.get(key) or "")
    texts = [value for value in (data.get("image"), *data.values()) if isinstance(value, str)]
    return _name(texts[0]) if texts else ""


def _name(address: str) -> str:
    """Return the file name in an address of Label Studio or of a store."""
    parts = urlsplit(address)
    if parts.scheme not in ("", "http", "https"):
        return address.rpartition("/")[2]  # a store's names are not encoded
    path = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]
    name = path.rpartition("/")[2]
    return UPLOADED.sub("", name, count=1) if "/upload/" in path else name


def format_task(image: dict[str, Any]) -> dict[str, Any]:
    """Return an image as a task, with an annotation if it has a label.

    Args:
        image: at least its path and label; all fields but the label become data of the task.
    """
    label = image["label"]
    data = {name: value for name, value in image.items() if name != "label"}
    choice = {
        "from_name": "label",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [label]},
    }
    annotations = [{"result": [choice]}] if label is not None else []
    return {"data": {"image": image["path"], **data}, "annotations": annotations}
