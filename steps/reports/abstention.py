"""The part of train's report on abstention: how often answers are wrong, by how many are given."""

import logging
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from steps.evaluation.abstention import Abstention, count_errors, scores_of
from steps.evaluation.intervals import wilson
from steps.evaluation.predictions import Predictions
from steps.pipeline.report import Report

logger = logging.getLogger("steps")

ENDS = (
    "This holds for images like those of the validation split. It ends where images stop looking "
    "like them: another camera, place, season or kind of scene."
)


def add_risk(report: Report, abstention: Abstention, test: Predictions) -> None:
    """Show risk against coverage on the test images, and what a wished risk gives.

    A wish's result is said in the terminal, too: as a warning if no threshold keeps it.
    """
    scores = scores_of(test, abstention.calibration)
    text = "If only the surest test images are answered: the share of wrong answers among them."
    if abstention.risk:
        line = abstention.describe()
        logger.log(logging.WARNING if abstention.threshold is None else logging.INFO, line)
        text = f"{line}. {ENDS} {text}"
    else:
        text = f"The model always answers; -P max_risk=0.02 would set a threshold. {text}"
    report.plot("Risk and coverage", _curve(abstention, scores, test), text)
    if abstention.threshold is not None:
        is_answered = scores >= abstention.threshold
        errors = int((is_answered & ~test.correct).sum())
        report.headline(
            f"unsure below {abstention.threshold:#.3g}", f"{1 - is_answered.mean():.1%}"
        )
        found = (
            ("validation", abstention.images, abstention.answered, abstention.errors),
            ("test", len(test), int(is_answered.sum()), errors),
        )
        header = ["split", "images", "answered", "of them wrong", "risk", "95 % interval"]
        report.table("Answers", header, [_row(*one) for one in found])


def _row(split: str, images: int, answered: int, errors: int) -> list[Any]:
    if not answered:
        return [split, images, 0, 0, "–", "–"]
    low, high = wilson(errors, answered)
    risk = f"{errors / answered:.2%}"
    return [split, images, answered, errors, risk, f"{low:.1%} – {high:.1%}"]


def _curve(abstention: Abstention, scores: NDArray[np.floating[Any]], test: Predictions) -> Figure:
    _, answered, errors = count_errors(scores, test.correct)
    figure = Figure(figsize=(5, 2.6), layout="tight")
    axes = figure.subplots()
    axes.step(100 * answered / len(test), 100 * errors / answered, where="post")
    axes.set(xlabel="coverage (% answered)", ylabel="risk (% wrong)", xlim=(0, 102))
    axes.set_ylim(bottom=0)
    if abstention.risk:
        axes.axhline(100 * abstention.risk, color="grey", linewidth=0.8, linestyle=":")
    if abstention.threshold is not None:
        coverage = 100 * (scores >= abstention.threshold).mean()
        axes.axvline(coverage, color="grey", linewidth=0.8, linestyle=":")
    return figure
