"""Whether devices bear the canary of a rollout: reports in, a decision with its reason out.

A release is in breach if more devices roll it back, fail its self-test or fall silent than faulty
devices explain (a binomial test), or if the canary's answers differ from the champion's: for each
label and for "unsure", the mean share of a device's answers (a z-test over devices).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import NormalDist, fmean, pvariance
from typing import NamedTuple

from edge.protocol.rollout import failed_releases, place_of

MAX_FAULTY = 0.02
"""The share of devices on which a good release fails, as memory and power supplies do."""

DOUBT = 0.05
"""How likely that many failures would be of a good release."""

FALSE_ALARM = 0.001
"""How likely answers of equal releases would differ so much, over all labels."""

MIN_DIFFERENCE = 0.1
"""Of a label's share of the answers: a smaller one stops no rollout."""

DECIDED, FRAMES = 0.8, 20
"""A stage ends when this share of its devices runs the release or failed, and each of those that
run it has so many answers on average; a device with fewer says nothing of its answers."""

SILENT = timedelta(hours=24)
"""A device that reported before the stage and not for so long in it has failed."""


class Action(StrEnum):
    """What becomes of a stage."""

    WAIT = "wait"
    WIDEN = "widen"
    TAKE_BACK = "take back"


class Decision(NamedTuple):
    """What becomes of a stage, and why."""

    action: Action
    reason: str


@dataclass(frozen=True)
class DeviceReport:
    """The newest status of a device that follows the champion.

    Attributes:
        device: its ID.
        release: the number of the release in use; None without a model.
        on_probation: whether that is not confirmed yet.
        failure: what it reports of the model.
        reported_at: with a time zone.
        champion, canary: its answers by each of the two releases' versions, by label.
    """

    device: str
    release: int | None
    on_probation: bool
    failure: str | None
    reported_at: datetime
    champion: dict[str, int] = field(default_factory=dict)
    canary: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A stage of a rollout.

    Attributes:
        model: the name of the released model.
        release: number of the canary's release.
        share: of the devices that get it, 0–1.
        since: when it began.
    """

    model: str
    release: int
    share: float
    since: datetime


def decide(stage: Stage, reports: Sequence[DeviceReport], now: datetime) -> Decision:
    """Return what becomes of a stage.

    Args:
        stage: that goes on.
        reports: of all devices that follow the champion.
        now: with a time zone.
    """
    if not reports:
        return Decision(Action.WAIT, "no device has reported")
    chosen = [one for one in reports if place_of(one.device, stage.model) < stage.share]
    if not chosen:
        return Decision(Action.WIDEN, f"none of {len(reports)} devices lies below {stage.share:g}")
    failed = [one for one in chosen if _has_failed(one, stage, now)]
    running = [
        one
        for one in chosen
        if one not in failed
        and one.release == stage.release
        and not one.on_probation
        and one.reported_at > stage.since
    ]
    counts = f"{len(running)} of {len(chosen)} devices run it, {len(failed)} failed"
    if failed and _chance(len(failed), len(failed) + len(running)) <= DOUBT:
        return Decision(Action.TAKE_BACK, f"{counts}: {failed[0].failure or 'no report'}")
    others = [one for one in reports if one not in chosen]
    if difference := _difference(running, others):
        return Decision(Action.TAKE_BACK, f"{counts}: {difference}")
    answers = sum(sum(one.canary.values()) for one in running)
    is_decided = len(running) + len(failed) >= DECIDED * len(chosen)
    if not running or not is_decided or answers < FRAMES * len(running):
        return Decision(Action.WAIT, f"{counts}, with {answers} answers")
    return Decision(Action.WIDEN, counts)


def _has_failed(report: DeviceReport, stage: Stage, now: datetime) -> bool:
    if stage.release in failed_releases(report.failure):
        return True
    spoke = stage.since - SILENT < report.reported_at <= stage.since
    return spoke and now - stage.since > SILENT


def _chance(failures: int, devices: int) -> float:
    """Return how likely at least so many devices are faulty."""
    from scipy.special import bdtrc

    return float(bdtrc(failures - 1, devices, MAX_FAULTY))


def _difference(running: Sequence[DeviceReport], others: Sequence[DeviceReport]) -> str | None:
    """Return how the canary's answers differ from the champion's; None if they do not."""
    canary = [one.canary for one in running if sum(one.canary.values()) >= FRAMES]
    champion = [one.champion for one in others if sum(one.champion.values()) >= FRAMES]
    if not canary or not champion:
        return None
    labels = sorted({label for counts in canary + champion for label in counts})
    least = NormalDist().inv_cdf(1 - FALSE_ALARM / (2 * len(labels)))
    for label in labels:
        ours, theirs = (
            [counts.get(label, 0) / sum(counts.values()) for counts in group]
            for group in (canary, champion)
        )
        difference = fmean(ours) - fmean(theirs)
        error = math.sqrt(pvariance(ours + theirs) * (1 / len(ours) + 1 / len(theirs)))
        if abs(difference) >= MIN_DIFFERENCE and abs(difference) > least * error:
            return f"{label} is {fmean(ours):.0%} of its answers, {fmean(theirs):.0%} before"
    return None
