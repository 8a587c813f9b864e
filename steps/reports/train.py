"""The report of train."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from steps.audit.audit import Audit
from steps.dataset.cache import Cache
from steps.dataset.cache_reader import read_pixels
from steps.dataset.own_split import describe_own_split
from steps.dataset.split import GUARD, SPLITS, TEST, describe_guard
from steps.evaluation.intervals import mean_interval, wilson
from steps.evaluation.metric_names import label_metric
from steps.evaluation.predictions import Predictions
from steps.evaluation.slices import BRIGHT, NIGHT, Slice
from steps.evaluation.threshold import Threshold
from steps.pipeline.report import Report
from steps.reports.audit import SLICES, add_cues, add_left_out, add_maps
from steps.reports.labels_used import add_labels_used
from steps.settings.profile import Profile
from steps.training.fit_result import FitResult

logger = logging.getLogger("steps")

MISTAKES = 12
NOT_LEFT_OUT = (
    " The network was not trained again without each day, hour or device: of those in the test set "
    "it may have seen other images."
)


def fill_report(
    report: Report,
    profile: Profile,
    test: Predictions,
    by_slice: list[Slice],
    result: FitResult,
    cache: Cache,
    peak_rate: float,
    audit: Audit,
    threshold: Threshold,
) -> None:
    """Show test metrics with intervals, curves, confusion, labels, slices and worst mistakes."""
    metrics = test.metrics()
    report.headline("test accuracy", f"{metrics['accuracy']:.1%}")
    report.headline("95 % interval", _span(*mean_interval(test)))
    report.headline("test images", len(test))
    report.headline("best epoch", f"{result.best + 1} of {len(result.epochs)}")
    if test.threshold is not None:
        label = test.threshold_label or test.labels[1]
        report.headline(f"threshold for {label}", f"{test.threshold:#.3g}")
    if threshold.label:
        _add_misses(report, threshold, test)
    add_cues(report, audit)
    report.plot(
        "Epochs",
        _curves(result, peak_rate),
        f"The learning rate warms up over the first epoch to {peak_rate:.2g}, then follows half a "
        "cosine down. The dotted line is the best epoch: the last whose validation loss is within "
        "one standard error of the lowest.",
    )
    header = ["label", *(f"predicted {label}" for label in test.labels)]
    confusion = zip(test.labels, test.confusion().tolist(), strict=True)
    rows: list[list[Any]] = [[label, *row] for label, row in confusion]
    report.table("Confusion on the test set", header, rows)
    header = ["label", "images", "recall", "95 % interval", "precision", "PR-AUC"]
    rows = [_label_row(test, metrics, number) for number in range(len(test.labels))]
    log_loss, error = metrics["log_loss"], metrics["calibration_error"]
    text = f"Log loss {log_loss:.4f}; expected calibration error {error:.4f}."
    report.table("By label", header, rows, text)
    if worst_first := sorted(by_slice, key=lambda one: one.accuracy):
        report.table(
            "By slice",
            ["", "", "images", "accuracy", "95 % interval", "precision", "recall", "PR-AUC", "ECE"],
            [_slice_row(one) for one in worst_first[:SLICES]],
            f"The worst first.{'' if audit.left_out else NOT_LEFT_OUT} Days and hours are UTC. "
            f"Night: a mean brightness below {NIGHT} of 255; bright: from {BRIGHT}. Precision, "
            "recall and PR-AUC are means over the labels of a slice. Intervals here and above are "
            "Wilson's and take images as independent. Neighbours are not: if there are mistakes, "
            "the interval at the top is bootstrapped by whole hours.",
        )
    add_left_out(report, audit)
    splits = [split for split in (*SPLITS, GUARD) if split in cache.counts]
    rows = [[split, *(cache.counts[split].get(one, 0) for one in cache.labels)] for split in splits]
    text = f"{describe_own_split(cache.own_splits)}; {describe_guard(cache.counts)}."
    report.table("Images by split", ["split", *cache.labels], rows, text)
    add_labels_used(report, profile, cache, audit)
    if worst := test.worst(MISTAKES):
        pixels = read_pixels(cache, TEST, [test.sha256[index] for index in worst])
        images = [
            (_caption(test, i), Image.fromarray(pixels[test.sha256[i]]), test.sha256[i])
            for i in worst
        ]
        report.images("The worst mistakes", images, "At the size that the network takes.")
    add_maps(report, audit, test)


def _add_misses(report: Report, threshold: Threshold, test: Predictions) -> None:
    """Show what a wished miss rate costs on the test images, and say it in the terminal."""
    label, is_true = threshold.label, test.truth == threshold.label
    images, others = int(is_true.sum()), int((~is_true).sum())
    rows: list[list[Any]] = [["held out", threshold.misses, threshold.images, "–", "–", "–"]]
    for name, found in (("test", test), ("test, without it", replace(test, threshold=None))):
        is_found = found.predicted == label
        misses, alarms = int((is_true & ~is_found).sum()), int((is_found & ~is_true).sum())
        interval = _span(*wilson(misses, images)) if images else "–"
        rows.append([name, misses, images, interval, alarms, others])
    text = (
        f"at most {100 * threshold.rate:g} % of {label} are missed, with 95 % confidence, from "
        f"{threshold.value:.3g} on: {rows[1][1]} of {images} test images; it costs "
        f"{rows[1][4] - rows[2][4]} more false alarms of {others}"
    )
    logger.info(text)
    header = ["images", "missed", "of", "95 % interval", "false alarms", "of"]
    report.table(f"Threshold of {label}", header, rows, f"{text}.")


def _span(low: float, high: float) -> str:
    return f"{low:.1%} – {high:.1%}"


def _label_row(test: Predictions, metrics: dict[str, float], number: int) -> list[Any]:
    label = test.labels[number]
    true = test.truth == label
    if not true.any():
        return [label, 0, "–", "–", "–", "–"]
    count = int(true.sum())
    interval = _span(*wilson(int(test.correct[true].sum()), count))
    names = ("recall", "precision", "pr_auc")
    recall, precision, pr_auc = (round(metrics[label_metric(name, label)], 4) for name in names)
    return [label, count, recall, interval, precision, pr_auc]


def _slice_row(one: Slice) -> list[Any]:
    others = one.precision, one.recall, one.pr_auc, one.calibration_error
    return [one.kind, one.value, one.images, one.accuracy, _span(one.low, one.high), *others]


def _caption(test: Predictions, index: int) -> str:
    predicted = test.predicted[index]
    probability = test.probabilities[index, test.labels.index(predicted)]
    name = test.paths[index].rpartition("/")[2]
    return f"{test.truth[index]}, predicted {predicted} ({probability:.0%}) · {name}"


def _curves(result: FitResult, peak_rate: float) -> Figure:
    epochs = np.arange(1, len(result.epochs) + 1)
    figure = Figure(figsize=(9.5, 2.6), layout="tight")
    losses, accuracy, rate = figure.subplots(1, 3, width_ratios=(3, 3, 2))
    losses.plot(epochs, [e["loss"] for e in result.epochs], label="training")
    losses.plot(epochs, [e["validation_loss"] for e in result.epochs], label="validation")
    losses.set(ylabel="loss", yscale="log")
    losses.legend(frameon=False)
    accuracy.plot(epochs, [e["validation_accuracy"] for e in result.epochs], color="C1")
    accuracy.set(ylabel="validation accuracy", ylim=(None, 1.005))
    rate.plot(epochs, [e["learning_rate"] for e in result.epochs], color="grey")
    rate.set(ylabel="learning rate", ylim=(0, peak_rate * 1.05))
    for axes in (losses, accuracy, rate):
        axes.axvline(result.best + 1, color="grey", linewidth=0.8, linestyle=":")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    return figure
