"""Whether devices bear the canary of a rollout: reports in, a decision with its reason out.

A release is in breach if more devices roll it back, fail its self-test or fall silent than faulty
devices explain (a binomial test), or if the canary's answers differ from the champion's: for each
label and for "unsure", the mean share of a device's answers (a permutation test over devices).

A stage is looked at again and again. Failures only add up, so the last look is the one that counts.
Answers may differ by chance at any look, so each hour spends a part of the doubt (Lan and DeMets
1983, "Discrete sequential boundaries for clinical trials"), whatever the hours have in common. All
looks of an hour read the answers of the same one, the last that is complete.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import combinations, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.protocol.rollout import Rollout, failed_releases

MAX_FAULTY = 0.02
"""The share of devices on which a good release fails, as memory and power supplies do."""

DOUBT = 0.05
"""How likely that many failures would be of a good release."""

FALSE_ALARM = 0.01
"""How likely answers of equal releases differ so much, over all labels and hours of a stage."""

SPENDING = 1.2
"""The k-th hour has a part of it that falls as k^-1.2: 18 %, 8 %, 5 % … 0.4 % after a day."""

HOURS = 168
"""Of a stage, which have a part of it: a small part takes many draws."""

DRAWS, BLOCK = 10_000, 1000
"""Of devices that might have got the canary, to compare with those that did, at least; so many at
once."""

MIN_DIFFERENCE = 0.1
"""Of a label's share of the answers: a smaller one stops no rollout."""

DECIDED, FRAMES = 0.8, 20
"""A stage ends when this share of its devices runs the release or failed, and each of those that
run it has so many answers on average; a device with fewer says nothing of its answers."""

HOUR = timedelta(hours=1)
SILENT = 24 * HOUR
"""A device that is heard of no more has failed after so long a time in the stage, by the newest
report of any device: a pause of ingest silences all of them. One that was away for so long when the
stage began is not counted."""


class Action(StrEnum):
    """What becomes of a stage of the canary."""

    WAIT = "wait"
    WIDEN = "widen"
    TAKE_BACK = "take back"


class Decision(NamedTuple):
    """What becomes of a rollout's stage, and why."""

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
        champion, canary: its answers in the last complete hour of the stage, by each of the two
            releases' versions, by label.
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
    """A stage of a rollout, which the canary may end.

    Attributes:
        model: the name of the released model.
        release: number of the canary's release.
        rollout: which devices get it, and since when.
    """

    model: str
    release: int
    rollout: Rollout

    @property
    def since(self) -> datetime:
        """When it began."""
        return datetime.fromisoformat(self.rollout.since)

    def hours(self, at: datetime) -> int:
        """Return how many hours of it are complete at a time."""
        return max(0, (at - self.since) // HOUR)

    def false_alarm(self, at: datetime) -> float:
        """Return how likely a difference by chance may be in the last complete hour."""
        from scipy.special import zeta

        hours = self.hours(at)
        return float(FALSE_ALARM * hours**-SPENDING / zeta(SPENDING)) if 0 < hours <= HOURS else 0.0


def decide(stage: Stage, reports: Sequence[DeviceReport]) -> Decision:
    """Return what becomes of a rollout's stage.

    Args:
        stage: that goes on.
        reports: of all devices that follow the champion.
    """
    reports = [one for one in reports if one.reported_at > stage.since - SILENT]
    if not reports:
        return Decision(Action.WAIT, "no device has reported")
    heard = max(one.reported_at for one in reports)
    chosen = [one for one in reports if stage.rollout.includes(one.device, stage.model)]
    if not chosen:
        place = f"{len(reports)} devices lies below {stage.rollout.share:g}"
        return Decision(Action.WIDEN, f"none of {place}")
    running = [one for one in chosen if _runs(one, stage)]
    failed = [one for one in chosen if one not in running and _has_failed(one, stage, heard)]
    counts = f"{len(running)} of {len(chosen)} devices run it, {len(failed)} failed"
    if stage.hours(heard) > HOURS:
        counts += " (after a week, answers are no longer compared)"
    # of all that may fail, as those that fail report it first
    if failed and _chance(len(failed), len(chosen)) <= DOUBT:
        return Decision(Action.TAKE_BACK, f"{counts}: {failed[0].failure or 'no report'}")
    others = [one for one in reports if one not in chosen]
    if difference := _difference(running, others, stage.false_alarm(heard)):
        return Decision(Action.TAKE_BACK, f"{counts}: {difference}")
    answers = sum(sum(one.canary.values()) for one in running)
    is_decided = len(running) + len(failed) >= DECIDED * len(chosen)
    if not running or not is_decided or answers < FRAMES * len(running):
        return Decision(Action.WAIT, f"{counts}, with {answers} answers")
    return Decision(Action.WIDEN, counts)


def _runs(report: DeviceReport, stage: Stage) -> bool:
    if report.release != stage.release or report.on_probation:
        return False
    return report.reported_at > stage.since


def _has_failed(report: DeviceReport, stage: Stage, heard: datetime) -> bool:
    if stage.release in failed_releases(report.failure):
        return True
    return heard - max(report.reported_at, stage.since) > SILENT


def _chance(failures: int, devices: int) -> float:
    """Return how likely at least so many devices are faulty."""
    from scipy.special import bdtrc

    return float(bdtrc(failures - 1, devices, MAX_FAULTY))


def _difference(
    running: Sequence[DeviceReport], others: Sequence[DeviceReport], doubt: float
) -> str | None:
    """Return how the canary's answers differ from the champion's; None if they do not."""
    if not doubt:
        return None
    canary = [one.canary for one in running if sum(one.canary.values()) >= FRAMES]
    champion = [one.champion for one in others if sum(one.champion.values()) >= FRAMES]
    if not canary or not champion:
        return None
    labels = sorted({label for counts in canary + champion for label in counts})
    shares = np.array(
        [[counts.get(label, 0) for label in labels] for counts in canary + champion], float
    )
    shares /= shares.sum(axis=1, keepdims=True)
    ours, theirs = shares[: len(canary)].mean(axis=0), shares[len(canary) :].mean(axis=0)
    is_large = np.abs(ours - theirs) >= MIN_DIFFERENCE
    if not is_large.any():
        return None
    draws = max(DRAWS, math.ceil(1 / doubt))  # with fewer, no difference is too large for chance
    for n in np.flatnonzero(is_large & (_chances(shares, len(canary), draws) <= doubt)):
        return f"{labels[n]} is {ours[n]:.0%} of its answers, {theirs[n]:.0%} before"
    return None


def _chances(shares: NDArray[np.float64], count: int, least: int) -> NDArray[np.float64]:
    """Return how likely a label's mean shares differ so much, if any devices might be the first.

    A permutation test: it holds for few devices and whatever they see. The largest difference of
    all labels in each draw corrects for their number (Westfall and Young 1993).

    Args:
        shares: of each label in the answers of each device, ``float [devices, labels]``.
        count: of the first devices, which run the canary.
        least: draws, if there are more choices.
    """
    # a sum of centred shares stands for the difference of the means: it is proportional
    deviations = shares - shares.mean(axis=0)
    spread = deviations.std(axis=0)
    deviations /= np.where(spread > 0, spread, 1)
    observed = np.abs(deviations[:count].sum(axis=0))
    if (others := len(shares) - count) < count:  # their sums differ by the sign alone
        deviations, count = deviations[::-1], others
    reached, total = np.zeros(len(observed)), 0
    for chosen in _choices(len(shares), count, least):
        largest = np.abs(deviations[chosen].sum(axis=1)).max(axis=1)
        reached += (largest[:, None] >= observed - 1e-9).sum(axis=0)
        total += len(chosen)
    return reached / total


def _choices(devices: int, count: int, least: int) -> Iterator[NDArray[np.intp]]:
    """Yield all choices of some devices, or many of them with the first: ``int [N, count]``."""
    if math.comb(devices, count) <= least:
        every = combinations(range(devices), count)
        while block := list(islice(every, BLOCK)):
            yield np.array(block, np.intp)
        return
    yield np.arange(count)[None]
    draws = np.random.default_rng(0)
    for _ in range(math.ceil(least / BLOCK)):
        places = draws.random((BLOCK, devices))
        yield np.argpartition(places, count - 1, axis=1)[:, :count]
