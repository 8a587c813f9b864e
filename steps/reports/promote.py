"""What the report of a promotion shows: the comparison, and the images on which both disagree."""

from typing import Any

import numpy as np
from mlflow.entities.model_registry import ModelVersion
from PIL import Image

from steps.dataset.cache_reader import read_pixels
from steps.dataset.split import TEST
from steps.evaluation.comparison import Comparison
from steps.evaluation.paired_counts import pair
from steps.evaluation.predictions import Predictions
from steps.pipeline.report import Report
from steps.registry.versions import DELTA_VERSION

DISAGREEMENTS = 24
OF_SLICES = ("accuracy", "recall")
"""Metrics that the report shows of each slice."""


def fill_report(
    report: Report, challenger: ModelVersion, champion: ModelVersion | None, comparison: Comparison
) -> None:
    """Add the result, the metrics of both, the discordant pairs, and the disagreements."""
    ours, theirs = comparison.challenger, comparison.champion
    report.headline("challenger", f"version {challenger.version}")
    report.headline("champion before", f"version {champion.version}" if champion else "none")
    report.headline("test images", len(ours))
    report.headline("result", "passed" if comparison.result.passed else "refused")
    if comparison.result.refusals:
        report.table("Why not", ["reason"], [[reason] for reason in comparison.result.refusals])
    _metric_tables(report, comparison, challenger.tags.get(DELTA_VERSION, "?"))
    if theirs is not None:
        _discordant_pairs(report, comparison, theirs)
        _disagreements(report, comparison, theirs)


def fill_manual_report(
    report: Report, alias: str, before: str | None, version: str, reason: str
) -> None:
    """Add the move of an alias that no comparison decided."""
    report.headline(alias, f"version {version}")
    header = ["alias", "before", "now", "reason"]
    report.table("Set by hand", header, [[alias, before or "-", version, reason]])


def _metric_tables(report: Report, comparison: Comparison, delta_version: str) -> None:
    theirs = comparison.champion_metrics()
    rows: list[list[Any]] = [
        [name, round(value, 4), round(theirs[name], 4) if name in theirs else "-"]
        for name, value in comparison.metrics.items()
    ]
    of_all = [row for row in rows if "@" not in row[0]]
    by_slice = [row for row in rows if "@" in row[0] and row[0].startswith(OF_SLICES)]
    header = ["metric", "challenger", "champion"]
    text = f"Of Delta version {delta_version}."
    report.table("On the same test images", header, of_all, text)
    if by_slice:
        report.table("By slice", header, by_slice, "The run's metrics have the others.")


def _discordant_pairs(report: Report, comparison: Comparison, theirs: Predictions) -> None:
    ours = comparison.challenger
    chosen = {"all": np.ones(len(ours), bool)}
    if comparison.warning:
        chosen |= {"new to both": ~comparison.seen, "known to the champion": comparison.seen}
    only = [f"only {name} correct" for name in ("challenger", "champion")]
    header = ["test images", *only, "difference of accuracy", "McNemar's exact p"]
    rows = [_pair_row(name, ours.subset(one), theirs.subset(one)) for name, one in chosen.items()]
    text = f"Caution: {comparison.warning}." if comparison.warning else ""
    report.table("Discordant pairs", header, rows, text)


def _pair_row(name: str, ours: Predictions, theirs: Predictions) -> list[Any]:
    if not len(ours):
        return [f"{name}: none", "-", "-", "-", "-"]
    paired = pair(ours, theirs)
    shares = [round(paired.difference, 4), round(paired.mcnemar(), 4)]
    return [f"{name}: {paired.images}", paired.only_challenger, paired.only_champion, *shares]


def _disagreements(report: Report, comparison: Comparison, theirs: Predictions) -> None:
    ours = comparison.challenger
    rows = np.flatnonzero(ours.predicted != theirs.predicted)[:DISAGREEMENTS]
    if not len(rows):
        return
    pixels = read_pixels(comparison.cache, TEST, ours.sha256[rows].tolist())
    images = []
    for i in rows:
        name = ours.paths[i].rpartition("/")[2]
        both = f"challenger {ours.predicted[i]}, champion {theirs.predicted[i]}"
        image = Image.fromarray(pixels[ours.sha256[i]])
        images.append((f"{ours.truth[i]}: {both} · {name}", image, ours.sha256[i]))
    report.images("Where the two disagree", images, "As the challenger saw them.")
