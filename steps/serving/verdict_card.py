"""What the card of a promotion shows: the comparison, and where the two disagree."""

import numpy as np
from mlflow.entities.model_registry import ModelVersion
from PIL import Image

from steps.serving.comparison import Judged
from steps.serving.trial import Trial
from steps.tracking.card import Card
from steps.training.evaluation import pictures_of
from steps.training.split import TEST

DISAGREEMENTS = 24
OF_SLICES = ("accuracy", "recall")
"""Metrics that the card shows of each slice."""


def fill_card(
    card: Card,
    challenger: ModelVersion,
    champion: ModelVersion | None,
    trial: Trial,
) -> None:
    """The verdict, each metric of both, the paired test, and the pictures in dispute."""
    ours, theirs = trial.challenger, trial.champion
    card.headline("challenger", f"version {challenger.version}")
    card.headline("champion before", f"version {champion.version}" if champion else "none")
    card.headline("held-out pictures", len(ours.truth))
    card.headline("verdict", "passed" if trial.verdict.passed else "refused")
    if trial.verdict.refusals:
        card.table("Why not", ["reason"], [[reason] for reason in trial.verdict.refusals])
    beside = theirs.metrics() if theirs else {}
    rows = [
        [name, round(value, 4), round(beside[name], 4) if name in beside else "-"]
        for name, value in trial.metrics.items()
    ]
    header = ["metric", "challenger", "champion"]
    card.table(
        "The same held-out pictures",
        header,
        [row for row in rows if "@" not in str(row[0])],
        f"Of Delta version {challenger.tags.get('delta_version', '?')}.",
    )
    card.table(
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
    card.table(
        "Pair by pair",
        ["held-out pictures", "won", "lost", "difference of accuracy", "McNemar's exact p"],
        [_pairs(name, ours.only(rows), theirs.only(rows)) for name, rows in chosen.items()],
        "Won: the challenger is right where the champion is wrong; lost: the other way round."
        + f" Caution: {trial.caution}." * bool(trial.caution),
    )
    disputed = np.flatnonzero(ours.said != theirs.said)[:DISAGREEMENTS]
    if len(disputed):
        pixels = pictures_of(trial.cache, TEST, ours.paths[disputed].tolist())
        card.pictures(
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
        f"{name}: {paired.pictures}",
        paired.won,
        paired.lost,
        round(paired.difference, 4),
        round(paired.mcnemar(), 4),
    ]
