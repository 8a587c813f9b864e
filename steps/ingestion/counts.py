"""The number of rows of a landing zone in the tables."""

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from steps.ingestion.folders import normalize_split
from steps.ingestion.label_text import normalize_label
from steps.ingestion.tables import read_current
from steps.lake.newest import Newest
from steps.pipeline.outputs import IngestOutputs

CLASSES_SHOWN = 20
ORIGINS = {
    "name": "file names",
    "folder": "folders",
    "table": "a table",
    "labels": "the table labels",
}


def quarantine_reasons(quarantine: Newest, source: str) -> dict[str, int]:
    """Return the number of quarantined files by their reason, the most frequent one first."""
    rows = read_current(quarantine, source, {"reason": pa.string()})
    counts = rows.group_by("reason").aggregate([("path", "count")])
    order = counts.sort_by([("path_count", "descending"), ("reason", "ascending")])
    return dict(zip(*(order[name].to_pylist() for name in ("reason", "path_count")), strict=True))


def source_counts(images: Newest, source: str, run_id: str) -> dict[str, Any]:
    """Return the counts of :class:`IngestOutputs`."""
    columns = ("label", "label_from", "split", "ingest_run_id", "duplicate_of")
    rows = read_current(images, source, dict.fromkeys(columns, pa.string()))
    new = pc.cast(pc.equal(rows["ingest_run_id"], run_id), pa.int64())
    groups = (
        rows.append_column("new", new)
        .group_by(["label", "label_from", "split"])
        .aggregate([("path", "count"), ("new", "sum"), ("duplicate_of", "count")])
        .to_pandas()
    )
    groups["label"] = groups["label"].map(normalize_label)
    groups["split"] = groups["split"].map(normalize_split)
    groups["label_from"] = groups["label_from"].fillna("elsewhere").where(groups["label"].notna())

    def count_by(column: str) -> dict[str, int]:
        return {
            name: int(count) for name, count in groups.groupby(column)["path_count"].sum().items()
        }

    return {
        "images": int(groups["path_count"].sum()),
        "new_images": int(groups["new_sum"].sum()),
        "duplicates": int(groups["duplicate_of_count"].sum()),
        "labels": count_by("label"),
        "labels_from": count_by("label_from"),
        "splits": count_by("split"),
    }


def describe_classes(ingested: IngestOutputs) -> str:
    """Return the classes of a landing zone with their images, and the split that it brings."""
    most = sorted(ingested.labels.items(), key=lambda item: -item[1])[:CLASSES_SHOWN]
    shown = [f"{label} {count}" for label, count in sorted(most)]
    if more := len(ingested.labels) - len(most):
        shown.append(f"and {more} more")
    of_all = len(ingested.labels_from) == 1
    origins = (
        ORIGINS.get(origin, origin) + (f" ({count})" if not of_all else "")
        for origin, count in ingested.labels_from.items()
    )
    if ingested.labels_from:
        shown.append(f"from {' and '.join(origins)}")
    text = f"classes: {', '.join(shown) or 'none'}"
    if unlabelled := ingested.images - sum(ingested.labels.values()):
        text += f"; {unlabelled} images without a label"
    text += "".join(f"; {alike}: one label?" for alike in _alike(ingested.labels))
    if ingested.splits:
        splits = ", ".join(f"{split} {count}" for split, count in sorted(ingested.splits.items()))
        text += f"; the set's own split: {splits}"
    return text


def _alike(labels: Iterable[str]) -> Iterator[str]:
    """Yield labels that differ by upper case and spaces only, each group as one text."""
    groups: dict[str, list[str]] = {}
    for label in sorted(labels):
        groups.setdefault("".join(label.casefold().split()), []).append(label)
    yield from (" and ".join(map(repr, group)) for group in groups.values() if len(group) > 1)
