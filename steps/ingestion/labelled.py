"""The labelled images of a landing zone: what networks are trained on, and whether it changed."""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.dataset import Expression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from steps.endings import Result
from steps.errors import RunStep, UserError
from steps.ingestion.label_rows import current_labels, labels_by, labels_version
from steps.ingestion.tables import TIME, path_is_under
from steps.lake.delta_log import PLAIN_READER, DeltaLog, Snapshot
from steps.landing.place import display
from steps.pipeline.outputs import IngestOutputs
from steps.settings.profile import Profile

TAG = "labelled_images"
"""Tag of a run of ingest: a hash of the images that it leaves to learn from, wherever and at
whatever version of the table they are read."""

Follow = Callable[[list[dict[str, Any]]], list[str | None]]

COLUMNS = ("path", "sha256", "device_id", "captured_at", "split", "label")
"""What decides a training, beside the pixels that have the hash."""

ROWS_AT_ONCE = 10_000
"""That Python holds as objects."""


def labelled_images(images: DataFrame, source: str) -> DataFrame:
    """Return the rows of ``images`` that a network can learn from, with all their columns.

    ``captured_at`` is null if it is only the time at which a file was copied: that does not show
    which images are neighbours.
    """
    if "split" not in images.columns:  # a version from before there was one
        images = images.withColumn("split", F.lit(None).cast("string"))
    return (
        images.where(path_is_under(source))
        .where("label IS NOT NULL AND replaced_at IS NULL")
        .withColumn("captured_at", F.when(F.col("captured_from") != "file", F.col("captured_at")))
    )


def digest(images: DataFrame | pa.Table) -> str:
    """Return a hash of labelled images that does not depend on their order."""
    columns = images.select(list(COLUMNS))
    table = columns if isinstance(columns, pa.Table) else columns.toArrow()
    found, before = hashlib.sha256(), ""
    for line in sorted(map(repr, _rows(table))):
        found.update(f"{before}{line}".encode("utf-8", "surrogatepass"))
        before = "\n"
    return found.hexdigest()


def too_few_labels(images: int, labels: dict[str, int], source: str) -> UserError:
    """Return the error that says how to label the images of a landing zone.

    Args:
        images: their number.
        labels: images by label, of fewer than two labels.
        source: the landing zone.
    """
    found = [f"{count} are labelled {label}" for label, count in labels.items()]
    place = display(source)
    return UserError(
        f"of the {images} images of {place} {found[0] if found else 'none has a label'}, and a "
        "network needs two labels: label them on a page (-e label), move the images of each label "
        "into a folder of its name, or list them in labels.csv with the columns file_name and "
        "label (docs/label-images.md)",
        RunStep("ingest", {"source": place, "labels": "labels.csv"}),
        Result.NO_LABELS,
    )


def labelled_change_since(outputs: IngestOutputs, profile: Profile) -> str | None:
    """Return what changed in the tables since a run of ingest, as far as it decides a training.

    Rows of other sources, rows without a label, compaction and VACUUM change nothing. Data files
    that both versions have are not read unless ``labels`` changed, and Spark is not started.

    Returns:
        a message, such as ``labels changed (40 added, 10 changed)``, or None.
    """
    log = DeltaLog(outputs.table)
    if not log.versions:
        return f"version {outputs.version} of {outputs.table} is gone"
    now = log.read(log.versions[-1])
    if outputs.table_id and now.table_id != outputs.table_id:
        return f"{outputs.table} was created again"
    if broken := log.broken_files_error(now):
        return broken
    follow = None
    if labels_version(profile) != outputs.labels_version:
        newest = current_labels(profile)
        follow = partial(labels_by, newest, outputs.source, profile.file_name)
    elif now.version == outputs.version:
        return None
    if now.reader > PLAIN_READER:
        return f"{outputs.table} has version {now.version}, whose rows only Spark can read"
    return _compare(log, now, outputs, follow)


def _compare(
    log: DeltaLog, now: Snapshot, outputs: IngestOutputs, follow: Follow | None
) -> str | None:
    """Return what differs between the newest version and that of a run of ingest."""
    then = log.read(outputs.version) if outputs.version in log.versions else None
    if then is None or log.broken_files_error(then):  # after VACUUM
        read = partial(log.read_rows, now.files)
        same = digest(read_labelled(read, outputs.source, follow)) == outputs.labelled
        return None if same else "labels changed"
    common = set() if follow else then.files.keys() & now.files.keys()
    old, new = (partial(log.read_rows, one.files.keys() - common) for one in (then, now))
    before, after = (
        {row[0]: row[1:] for row in _rows(read_labelled(read, outputs.source, by))}
        for read, by in ((old, None), (new, follow))
    )
    return _describe(before, after)


def read_labelled(
    read: Callable[[pa.Schema, Expression], pa.Table], source: str, follow: Follow | None = None
) -> pa.Table:
    """Return ``COLUMNS`` of the images that :func:`labelled_images` returns, without Spark.

    Args:
        read: returns columns of some rows of ``images``, by their schema and a condition.
        source: the landing zone.
        follow: gives the labels of all rows, if ``images`` may not have the newest.
    """
    types = {"captured_at": TIME, "replaced_at": TIME}
    names = (*COLUMNS, "captured_from", "replaced_at", "label_from")
    schema = pa.schema([(name, types.get(name, pa.string())) for name in names])
    path, label, replaced_at = map(pc.field, ("path", "label", "replaced_at"))
    here = pc.starts_with(path, f"{source}/") & replaced_at.is_null()
    rows = read(schema, here if follow else here & label.is_valid())
    if follow:
        images = rows.select(["path", "sha256", "label", "label_from"]).to_pylist()
        labels = pa.array(follow(images), pa.string())
        rows = rows.set_column(names.index("label"), "label", labels)
        rows = rows.filter(label.is_valid())
    known = pc.not_equal(rows["captured_from"], "file")
    times = pc.if_else(known, rows["captured_at"], pa.scalar(None, TIME))
    return rows.set_column(names.index("captured_at"), "captured_at", times).select(COLUMNS)


def _rows(images: pa.Table) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of ``COLUMNS`` with times in microseconds, by whatever they were read."""
    times = images["captured_at"].cast(TIME).cast(pa.int64())
    images = images.set_column(COLUMNS.index("captured_at"), "captured_at", times)
    for batch in images.to_batches(max_chunksize=ROWS_AT_ONCE):
        yield from zip(*(batch[name].to_pylist() for name in COLUMNS), strict=True)


def _describe(before: dict[str, tuple[Any, ...]], after: dict[str, tuple[Any, ...]]) -> str | None:
    """Return what differs between labelled images by path, of which the label is the last value."""
    counts = {
        "added": len(after.keys() - before.keys()),
        "changed": sum(
            after[path][-1] != before[path][-1] for path in after.keys() & before.keys()
        ),
        "removed": len(before.keys() - after.keys()),
    }
    if labels := ", ".join(f"{count} {how}" for how, count in counts.items() if count):
        return f"labels changed ({labels})"
    others = sum(after[path] != row for path, row in before.items())
    return f"{others} labelled images changed" if others else None
