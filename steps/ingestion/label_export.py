"""The labels of a landing zone as a file: CSV, or Label Studio's JSON."""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from steps.atomic import write_atomically
from steps.errors import RunStep, UserError
from steps.ingestion.label_rows import LabelRow, current_labels, labels_by
from steps.ingestion.label_studio import format_task
from steps.ingestion.tables import IMAGES, TIME
from steps.lake.delta_log import DeltaLog
from steps.landing.place import display
from steps.settings.profile import Profile

READ = ("path", "file_name", "sha256", "device_id", "label", "label_from")
COLUMNS = ("file_name", "label", "path", "sha256", "device_id", "labeller", "how", "labelled_at")
"""Of the CSV file, and of a task's data."""


def export_labels(images: list[dict[str, Any]], source: str, file: str) -> None:
    """Write every image of a landing zone with the label that it has now.

    An image without a label is there, too, so that the file can be filled in.

    Args:
        images: as :func:`read_labels` returns them.
        source: the landing zone, as the tables write it.
        file: a path or URI that ends with .csv or .json.

    Raises:
        UserError: the name has another end, or there is no image.
    """
    if not file.endswith((".csv", ".json")):
        raise UserError(f"{file} is neither .csv nor .json; pass -P export=labels.csv")
    if not images:
        place = display(source)
        raise UserError(f"the lake has no image of {place}", RunStep("ingest", {"source": place}))
    try:
        write_atomically(file, format_labels(images, file).encode("utf-8", "surrogatepass"))
    except (FileNotFoundError, PermissionError) as error:
        raise UserError(
            f"{file} cannot be written ({error.strerror}); pass -P export=<file in a folder that "
            "exists and is yours>"
        ) from error


def format_labels(images: list[dict[str, Any]], file: str) -> str:
    """Return the text of a file whose name ends with .json, or else of a CSV file."""
    if file.endswith(".json"):
        return json.dumps([format_task(image) for image in images], indent=1, ensure_ascii=False)
    lines = io.StringIO(newline="")
    writer = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(images)
    return lines.getvalue()


def read_labels(
    profile: Profile, source: str, given: Iterable[LabelRow] = ()
) -> list[dict[str, Any]]:
    """Return ``COLUMNS`` of a landing zone's images by path, with the label of each now.

    Spark is not started.

    Args:
        profile: names the lake.
        source: the landing zone, as the tables write it.
        given: labels that the table may not have yet, the oldest first; of an image, the row of
            the latest time counts.

    Raises:
        UserError: only Spark can read the table.
    """
    log = DeltaLog(IMAGES.path(profile))
    if not log.versions:
        return []
    snapshot = log.read_plain()
    columns = [(name, pa.string()) for name in READ]
    schema = pa.schema([*columns, ("replaced_at", TIME)])
    here = pc.starts_with(pc.field("path"), f"{source}/") & pc.field("replaced_at").is_null()
    rows = log.read_rows(snapshot.files, schema, here).select(READ).sort_by("path")
    newest = current_labels(profile)
    for row in given:
        known = newest.get(row.sha256)
        if known is None or known["labelled_at"] < row.labelled_at:
            newest[row.sha256] = row._asdict()
    images = rows.to_pylist()
    labels = labels_by(newest, source, profile.file_name, images)
    return [
        _describe(image, label, newest.get(image["sha256"]))
        for image, label in zip(images, labels, strict=True)
    ]


def _describe(
    image: dict[str, Any], label: str | None, row: dict[str, Any] | None
) -> dict[str, Any]:
    """Return ``COLUMNS`` of an image; without a row, ``how`` says where its label is from."""
    found = image | {"label": label, "path": display(image["path"])}
    found |= {"how": image["label_from"], "labeller": None, "labelled_at": None}
    if row:
        found |= {name: row[name] for name in ("how", "labeller")}
        found["labelled_at"] = row["labelled_at"].isoformat(timespec="seconds")
    return {name: found[name] for name in COLUMNS}
