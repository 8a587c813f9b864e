"""What the report of a promotion shows: the comparison, and where the two disagree."""

import numpy as np
from mlflow.entities.model_registry import ModelVersion
from PIL import Image

from steps.dataset.split import TEST
from steps.evaluation.comparison import Trial
from steps.evaluation.model_predictions import Judged
from steps.evaluation.predictions import images_of
from steps.pipeline.report import Report

DISAGREEMENTS = 24
OF_SLICES = ("accuracy", "recall")
"""Metrics that the report shows of each slice."""


def fill_report(
    report: Report,
    challenger: ModelVersion,
    champion: ModelVersion | None,
    trial: Trial,
) -> None:
    """The verdict, each metric of both, the paired test, and the images in dispute."""
    ours, theirs = trial.challenger, trial.champion
    report.headline("challenger", f"version {challenger.version}")
    report.headline("champion before", f"version {champion.version}" if champion else "none")
    report.headline("held-out images", len(ours.truth))
    report.headline("verdict", "passed" if trial.verdict.passed else "refused")
    if trial.verdict.refusals:
        report.table("Why not", ["reason"], [[reason] for reason in trial.verdict.refusals])
    beside = theirs.metrics() if theirs else {}
    rows = [
        [name, round(value, 4), round(beside[name], 4) if name in beside else "-"]
        for name, value in trial.metrics.items()
    ]
    header = ["metric", "challenger", "champion"]
    report.table(
        "The same held-out images",
        header,
        [row for row in rows if "@" not in str(row[0])],
        f"Of Delta version {challenger.tags.get('delta_version', '?')}.",
    )
    report.table(
        "By slice",
        header,
        [row for row in rows if "@" in str(row[0]) and str(row[0]).startswith(OF_SLICES)],
        "The others are among the run's metrics.",
    )
    if theirs is None:
        return
    chosen = {"all": np.ones(len(ours.truth), bool)}
    if trial.caution:
        chosen |= {"new to both": ~trial.seen, "known to the champion": trial.seen}
    report.table(
        "Pair by pair",
        ["held-out images", "won", "lost", "difference of accuracy", "McNemar's exact p"],
        [_pairs(name, ours.only(rows), theirs.only(rows)) for name, rows in chosen.items()],
        "Won: the challenger is right where the champion is wrong; lost: the other way round."
        + f" Caution: {trial.caution}." * bool(trial.caution),
    )
    disputed = np.flatnonzero(ours.said != theirs.said)[:DISAGREEMENTS]
    if len(disputed):
        pixels = images_of(trial.cache, TEST, ours.paths[disputed].tolist())
        report.images(
            "Where the two disagree",
            [
                (
                    f"{ours.truth[i]}: challenger {ours.said[i]}, champion {theirs.said[i]} · "
                    f"{ours.paths[i].rsplit('/', 1)[-1]}",
                    Image.fromarray(pixels[ours.paths[i]]),
                )
                for i in disputed
            ],
            "As the challenger saw them.",
        )


def _pairs(name: str, ours: Judged, theirs: Judged) -> list:
    if not len(ours.truth):
        return [f"{name}: none", "-", "-", "-", "-"]
    paired = ours.against(theirs)
    return [
        f"{name}: {paired.images}",
        paired.won,
        paired.lost,
        round(paired.difference, 4),
        round(paired.mcnemar(), 4),
    ]
