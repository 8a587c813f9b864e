"""The changes of one device: each test over its blocks, and what they say together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steps.monitoring.compared import Watched
from steps.monitoring.detector import (
    BLOCK,
    FEWEST,
    Alarm,
    Values,
    find_alarms,
    limit_of,
    p_values,
    to_blocks,
)
from steps.monitoring.unlikeness import unlikeness

Numbers = NDArray[np.int64]
Shares = tuple[Numbers, Values]
"""Numbers of blocks, and their p-values ``[B, columns]``."""


TESTS = {
    "covered": "something is in front of the camera",
    "moved": "the camera was moved",
    "blurred": "the image is blurred or fogged",
    "clock": "the clock is wrong",
    "exposure": "the light is unusual for the hour",
    "object": "something new is in one place",
    "scene": "the scene is of a new kind",
    "answers": "the model is less certain than before",
}
"""By name what an alarm means. Of several at once, the first explains the others."""


@dataclass(frozen=True)
class Changes:
    """What changed on a device.

    Attributes:
        alarms: in the order of their noticing; those of the same time in the order of ``TESTS``.
        blocks: of training images; too few if below ``FEWEST``.
    """

    alarms: list[Alarm]
    blocks: int


def find_changes(watched: Watched, alarms_per_month: float) -> Changes:
    """Return what changed on a device since the version in use was trained."""
    limit = limit_of(len(TESTS), alarms_per_month)
    training, frames = watched.training, watched.frames
    usual, scores = watched.usual_scores, watched.scores
    shares: dict[str, Shares] = {}
    blocks = len(np.unique(training.times // BLOCK))
    if blocks >= FEWEST and len(frames):
        known, new = (unlikeness(training, each) for each in (training, frames))
        for test in known:
            shares[test] = _test(training.times, known[test], frames.times, new[test])
        _require(shares, "moved", shares.pop("everywhere"))  # else it is an object
        _require(shares, "covered", shares["moved"])  # else it is fog
    if len(np.unique(usual.times // BLOCK)) >= FEWEST and len(scores.times):
        shares["answers"] = _test(usual.times, usual.uncertainty, scores.times, scores.uncertainty)
    found = [alarm for test, (of, p) in shares.items() for alarm in find_alarms(test, of, p, limit)]
    order = list(TESTS)
    return Changes(sorted(found, key=lambda a: (a.noticed, order.index(a.test))), blocks)


def _require(shares: dict[str, Shares], test: str, other: Shares) -> None:
    """Let a test say so only if another one does: the larger of two p-values is one, too."""
    numbers, p = shares[test]
    shares[test] = numbers, np.maximum(p, other[1])


def _test(known_times: Numbers, known: Values, times: Numbers, new: Values) -> Shares:
    """Return the numbers of new blocks, and their p-values by the known ones."""
    numbers, medians = to_blocks(times, new)
    return numbers, p_values(to_blocks(known_times, known)[1], medians)
