"""The report of an ingest."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from edge.inference.image import as_rgb, open_image
from steps.ingestion.brightness import brightness
from steps.ingestion.counts import describe_classes
from steps.ingestion.labels import MergedLabels
from steps.ingestion.tables import BAND, TIME, read_current
from steps.lake.newest import Newest
from steps.landing.left_out import LeftOut
from steps.pipeline.outputs import IngestOutputs
from steps.pipeline.report import THUMBNAIL, template
from steps.pipeline.step import StepRun

UNLABELLED = "(none)"
OTHERS = "(others)"
LABELS_SHOWN = 9
"""Colours in a plot: the most frequent labels, and one for all others."""

SAMPLES_PER_LABEL = 5
UNREAD_SHOWN = 100


def fill_report(
    run: StepRun,
    images: Newest,
    quarantine: Newest,
    outputs: IngestOutputs,
    labels: MergedLabels | None,
    left_out: LeftOut,
) -> None:
    """Show counts, brightness and size, samples, labels, quarantine, and what was left out."""
    report, source = run.report, outputs.source
    report.headline("images", outputs.images)
    report.headline("new in this run", outputs.new_images)
    report.headline("duplicates", outputs.duplicates)
    report.headline("in quarantine", outputs.quarantined)
    groups = _plot_groups(images, source, run.id)
    if not groups.empty:
        header = ["images", "new"]
        text = describe_classes(outputs)
        report.table("By label", ["label", *header], _totals(groups, "label"), text)
        if set(groups["device"]) != {UNLABELLED}:
            report.table("By device", ["device", *header], _totals(groups, "device"))
        shown = _merge_rare_labels(groups)
        if groups["hour"].notna().any():
            hours = _bars(shown, "hour", range(24), "hour (UTC)")
            report.drawing("By hour of the day", hours, "Images by capture time.")
        title = "mean of all bands, 0–255"
        light = _bars(shown, "light", range(16), title, lambda place: str(16 * place))
        report.drawing("Brightness", light)
        halves = range(int(groups["size"].min()), int(groups["size"].max()) + 1)
        size = _bars(shown, "size", halves, "KB per file", lambda n: f"{2 ** (n / 2):.3g}")
        report.drawing("Size", size)
        report.images("Samples of each label", _samples(images, source))
    if labels:
        header = ["added", "changed", "in conflict", "without an image"]
        counts = [labels.added, labels.changed, len(labels.conflicts), labels.unmatched]
        names = ", ".join(labels.conflicts[:10])
        text = f"In conflict, and therefore not changed: {names}" if names else ""
        report.table("Labels merged in", header, [counts], text)
    if reasons := _reasons(quarantine, source):
        header = ["reason", "files", "example", "error"]
        again = run.commands.rerun(retry_quarantine="true")
        text = f"Once its cause is fixed, ingest it again: {again}"
        report.table("In quarantine", header, reasons, text)
    if kinds := left_out.kinds():
        text = " ".join(f"{fix[0].upper()}{fix[1:]}." for fix in left_out.fixes())
        report.table("Left out", ["kind", "files"], kinds, text)
    if unread := list(left_out.unread.items()):
        text = f"The first {UNREAD_SHOWN} of {len(unread)}." if len(unread) > UNREAD_SHOWN else ""
        report.table("Not read", ["path", "reason"], unread[:UNREAD_SHOWN], text)


def _plot_groups(images: Newest, source: str, run_id: str) -> pd.DataFrame:
    """Return counts by all that the plots show, in as many rows for any number of images."""
    types = dict.fromkeys(("label", "device_id", "captured_from", "ingest_run_id"), pa.string())
    types |= {"captured_at": TIME, "bytes": pa.int64(), "statistics": pa.list_(BAND)}
    rows = read_current(images, source, types)
    known = pc.not_equal(rows["captured_from"], "file")
    columns = {
        "label": pc.fill_null(rows["label"], UNLABELLED),
        "device": pc.fill_null(rows["device_id"], UNLABELLED),
        "hour": pc.if_else(known, pc.hour(rows["captured_at"].cast(pa.timestamp("us"))), None),
        "light": np.floor(brightness(rows["statistics"].combine_chunks()) / 16),
        "size": pc.floor(pc.multiply(2, pc.log2(pc.divide(rows["bytes"], 1000.0)))),
        "new": pc.fill_null(pc.equal(rows["ingest_run_id"], run_id), False),
    }
    groups = pd.DataFrame({name: pd.Series(values) for name, values in columns.items()})
    by = groups.groupby(["label", "device", "hour", "light", "size"], dropna=False)["new"]
    return by.agg(images="size", new="sum").reset_index()


def _totals(groups: pd.DataFrame, column: str) -> list[list[Any]]:
    totals = groups.groupby(column)[["images", "new"]].sum().reset_index()
    return totals.to_numpy().tolist()  # type: ignore[no-any-return]


def _merge_rare_labels(groups: pd.DataFrame) -> pd.DataFrame:
    """Return the counts with one name for all labels that do not fit into a plot."""
    totals = groups.groupby("label")["images"].sum().sort_values(ascending=False)
    if len(totals) <= LABELS_SHOWN:
        return groups
    rare = groups["label"].isin(totals.index[LABELS_SHOWN - 1 :])
    return groups.assign(label=groups["label"].mask(rare, OTHERS))


def _bars(
    groups: pd.DataFrame, column: str, places: range, title: str, name: Callable[[int], str] = str
) -> str:
    """Return an SVG of bars of images by a column, with one colour for each label.

    Args:
        groups: what is counted.
        column: the values.
        places: the values that have a bar.
        title: of the column.
        name: returns the text at a place.
    """
    counts = groups.pivot_table("images", column, "label", "sum", fill_value=0)
    counts = counts.reindex(places, fill_value=0)
    ticks = [(n, name(place)) for n, place in enumerate(places)][:: max(1, len(places) // 8)]
    return template("reports/bars.svg.j2").render(
        stacks=counts.to_numpy().tolist(),
        labels=list(counts),
        most=int(counts.sum(axis=1).max()),
        ticks=ticks,
        title=title,
    )


def _samples(images: Newest, source: str) -> list[tuple[str, Any, str]]:
    texts = dict.fromkeys(("sha256", "label", "file_name"), pa.string())
    rows = read_current(images, source, texts).to_pandas()
    chosen = rows.sort_values("sha256").groupby("label", dropna=False).head(SAMPLES_PER_LABEL)
    chosen = chosen.sort_values(["label", "sha256"])[: 6 * SAMPLES_PER_LABEL]
    schema = pa.schema({"path": pa.string(), "sha256": pa.string(), "content": pa.binary()})
    these = pc.field("sha256").isin(pa.array(chosen["sha256"], pa.string()))
    found = images.rows(schema, these, few=True)
    contents = dict(zip(found["sha256"].to_pylist(), found["content"].to_pylist(), strict=True))
    return [
        (
            f"{label if isinstance(label, str) else UNLABELLED} · {name}",
            _sample(contents[sha256]),
            sha256,
        )
        for sha256, label, name in chosen[list(texts)].itertuples(index=False)
    ]


def _sample(content: bytes) -> Image.Image:
    with open_image(content) as image:
        image.thumbnail(THUMBNAIL)  # a JPEG is decoded no larger than needed for it
        image.load()  # a smaller image is not yet
        return as_rgb(image)


def _reasons(quarantine: Newest, source: str) -> list[tuple[Any, ...]]:
    texts = dict.fromkeys(("reason", "file_name", "error"), pa.string())
    groups = read_current(quarantine, source, texts).group_by("reason")
    found = groups.aggregate([("path", "count"), ("file_name", "min"), ("error", "min")])
    columns = ["reason", "path_count", "file_name_min", "error_min"]
    return list(zip(*found.sort_by("reason").select(columns).to_pydict().values(), strict=True))
