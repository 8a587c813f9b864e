"""The report of an ingest."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image
from pyspark.sql import DataFrame, Row, SparkSession

from edge.inference.image import as_rgb, open_image
from steps.ingestion.counts import describe_classes
from steps.ingestion.labels import MergedLabels
from steps.ingestion.left_out import LeftOut
from steps.ingestion.tables import IMAGES, QUARANTINE, current_rows
from steps.pipeline.outputs import IngestOutputs
from steps.pipeline.report import plain
from steps.pipeline.step import StepRun

BRIGHTNESS = "aggregate(statistics, 0D, (sum, band) -> sum + band.mean) / size(statistics)"
UNLABELLED = "(none)"
OTHERS = "(others)"
LABELS_SHOWN = 9
"""Colours in a plot: the most frequent labels, and one for all others."""

SAMPLES_PER_LABEL = 5
UNREAD_SHOWN = 100


def fill_report(
    run: StepRun,
    spark: SparkSession,
    outputs: IngestOutputs,
    labels: MergedLabels | None,
    left_out: LeftOut,
) -> None:
    """Show counts, brightness and size, samples, labels, quarantine, and what was left out."""
    report, images = run.report, current_rows(spark, run.profile, IMAGES, outputs.source)
    report.headline("images", outputs.images)
    report.headline("new in this run", outputs.new_images)
    report.headline("duplicates", outputs.duplicates)
    report.headline("in quarantine", outputs.quarantined)
    groups = _groups(images, run.id)
    if not groups.empty:
        header = ["images", "new"]
        text = describe_classes(outputs)
        report.table("By label", ["label", *header], _totals(groups, "label"), text)
        if set(groups["device"]) != {UNLABELLED}:
            report.table("By device", ["device", *header], _totals(groups, "device"))
        shown = _merge_rare_labels(groups)
        if groups["hour"].notna().any():
            hours = _plot_stacked(shown, "hour", range(24), "hour (UTC)")
            report.plot("By hour of the day", hours, "Images by capture time.")
        title = "mean of all bands, 0–255"
        light = _plot_stacked(shown, "light", range(16), title, lambda place: str(16 * place))
        report.plot("Brightness", light)
        halves = range(int(groups["size"].min()), int(groups["size"].max()) + 1)
        size = _plot_stacked(shown, "size", halves, "KB per file", lambda n: f"{2 ** (n / 2):.3g}")
        report.plot("Size", size)
        report.images("Samples of each label", _samples(images))
    if labels:
        header = ["added", "changed", "in conflict", "without an image"]
        counts = [labels.added, labels.changed, len(labels.conflicts), labels.unmatched]
        names = ", ".join(labels.conflicts[:10])
        text = f"In conflict, and therefore not changed: {names}" if names else ""
        report.table("Labels merged in", header, [counts], text)
    if reasons := _reasons(current_rows(spark, run.profile, QUARANTINE, outputs.source)):
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


def _groups(images: DataFrame, run_id: str) -> pd.DataFrame:
    """Return counts by all that the plots show, in as many rows for any number of images."""
    return (
        images.selectExpr(
            f"coalesce(label, '{UNLABELLED}') AS label",
            f"coalesce(device_id, '{UNLABELLED}') AS device",
            "CASE WHEN captured_from != 'file' THEN hour(captured_at) END AS hour",
            f"CAST(floor({BRIGHTNESS} / 16) AS INT) AS light",
            "CAST(floor(2 * log2(bytes / 1000)) AS INT) AS size",
            f"CAST(ingest_run_id = '{run_id}' AS INT) AS new",
        )
        .groupBy("label", "device", "hour", "light", "size")
        .agg({"*": "count", "new": "sum"})
        .withColumnsRenamed({"count(1)": "images", "sum(new)": "new"})
        .toPandas()
    )


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


def _plot_stacked(
    groups: pd.DataFrame, column: str, places: range, title: str, name: Callable[[int], str] = str
) -> Figure:
    """Plot bars of images by a column, with one colour for each label; ``name`` names a place."""
    figure = Figure(figsize=(8, 2.4))
    axes = figure.subplots()
    counts = groups.pivot_table("images", column, "label", "sum", fill_value=0)
    counts = counts.reindex(places, fill_value=0)
    bottom = counts.iloc[:, 0] * 0
    for label in counts:
        axes.bar(list(places), counts[label], 0.92, bottom=bottom, align="edge", label=plain(label))
        bottom = bottom + counts[label]
    ticks = places[:: max(1, len(places) // 8)]
    axes.set_xticks(ticks, map(name, ticks))
    axes.set(xlabel=title, ylabel="images")
    # outside of the axes: the highest bar may be anywhere
    axes.legend(
        title="label", frameon=False, loc="upper left", bbox_to_anchor=(1, 1), fontsize="small"
    )
    return figure


def _samples(images: DataFrame) -> list[tuple[str, Any]]:
    chosen = (
        images.selectExpr(
            "path",
            "sha256",
            "row_number() OVER (PARTITION BY label ORDER BY xxhash64(sha256)) AS place",
        )
        .where(f"place <= {SAMPLES_PER_LABEL}")
        .limit(6 * SAMPLES_PER_LABEL)
    )
    rows = (
        images.join(chosen.hint("broadcast"), ["path", "sha256"])
        .orderBy("label", "place")
        .select("label", "file_name", "content")
        .collect()
    )
    return [(f"{label or UNLABELLED} · {name}", _decode(content)) for label, name, content in rows]


def _decode(content: bytes) -> Image.Image:
    with open_image(content) as image:
        image.load()
        return as_rgb(image)


def _reasons(quarantined: DataFrame) -> list[Row]:
    rows: list[Row] = (
        quarantined.groupBy("reason")
        .agg({"*": "count", "file_name": "min", "error": "min"})
        .select("reason", "count(1)", "min(file_name)", "min(error)")
        .orderBy("reason")
        .collect()
    )
    return rows
