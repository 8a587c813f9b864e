"""Alarms at a stated rate: conformal p-values of blocks of time, gathered by an e-detector.

1. The frames of two hours make a block; its score is their median. So one odd frame is none, and
   neighbours, which are the same image nearly, count once.
2. A block's p-value bounds the share of blocks that are as unlike the training images, from above
   and at 90 %, by its rank among the training images' own blocks (Bates, Candès, Lei and Romano
   2023, "Testing for outliers with conformal p-values": valid for the training images that there
   are, and not on average over those that there might have been).
3. A p-value becomes a bet whose expectation is at most 1 if nothing changed (Vovk and Wang 2021,
   "E-values: calibration, combination and applications").
4. Bets are gathered as by Shiryaev and Roberts: M ← (M + 1) × bet. If nothing changed, M minus the
   number of blocks is a supermartingale, so M takes ``limit`` blocks on average to reach ``limit``
   (Shin, Ramdas and Rinaldo 2024, "E-detectors"). Several columns count by their mean, which
   keeps that.

``limit`` is the number of all tests' blocks in a month over the alarms wanted in it. That bounds
the alarms of a camera, and the sum those of several, if blocks are independent of each other.
Weather that lasts makes them dependent, and the rate is higher: docs/monitoring.md has by how much.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steps.monitoring.frames import HOUR

Values = NDArray[np.float64]

BLOCK = 2 * HOUR
BLOCKS_PER_MONTH = 30 * 12
FEWEST = 22
"""Blocks of training images that a test needs: with fewer, every block is a usual one."""

SURE = 0.9
"""Confidence of each bound on the share of blocks that are as unlike."""

DAY = 12
"""Blocks of a day: an alarm ends after one that has mostly usual blocks."""
USUAL = 0.1
"""The p-value from which a block is usual."""


@dataclass(frozen=True)
class Alarm:
    """A change that lasted, as the detector finds it.

    Attributes:
        test: its name.
        began: the start of the first block that counts against the training images.
        noticed: the end of the block that made it an alarm.
        ended: the end of the last block if it is over; None: it lasts.
        cell: of the image, row by row, if the test has several.
    """

    test: str
    began: int
    noticed: int
    ended: int | None = None
    cell: int = 0


def limit_of(tests: int, alarms_per_month: float) -> float:
    """Return the evidence that makes an alarm: in blocks, how rarely it is reached by chance."""
    return tests * BLOCKS_PER_MONTH / alarms_per_month


def to_blocks(times: NDArray[np.int64], scores: Values) -> tuple[NDArray[np.int64], Values]:
    """Return the blocks' numbers and the medians of their scores, ``[B, columns]``."""
    numbers, firsts = np.unique(times // BLOCK, return_index=True)
    of_blocks = np.split(scores.reshape(len(times), -1), firsts[1:])
    if not len(numbers):
        return numbers, np.empty((0, 1))
    return numbers, np.array([np.median(block, axis=0) for block in of_blocks])


def p_values(known: Values, new: Values) -> Values:
    """Return upper bounds for the shares of blocks that are as unlike as new ones.

    Args:
        known: scores of the training images' blocks, ``[n, columns]``.
        new: those to test, ``[B, columns]``; NaN has the p-value 1.
    """
    from scipy.stats import beta

    n = len(known)
    bounds = np.append(beta.ppf(SURE, np.arange(n) + 1, n - np.arange(n)), 1.0)
    found = np.ones(new.shape)
    for column, (ours, theirs) in enumerate(zip(new.T, np.sort(known, axis=0).T, strict=True)):
        valid = ~np.isnan(ours)
        below = np.searchsorted(theirs[: n - np.isnan(theirs).sum()], ours[valid], side="left")
        found[valid, column] = bounds[n - below]  # an unknown one counts as no less unlike
    return found


def bets(p: Values) -> Values:
    """Return what p-values are worth: the mean of κ p^(κ−1) over κ from 0 to 1."""
    p = np.clip(p, 1e-12, 1 - 1e-6)
    log = np.log(p)
    worth: Values = (1 - p + p * log) / (p * log**2)
    return worth


def find_alarms(test: str, blocks: NDArray[np.int64], p: Values, limit: float) -> list[Alarm]:
    """Return the alarms of one test, in time order.

    Args:
        test: its name.
        blocks: the blocks' numbers, ``[B]``, in time order.
        p: their p-values, ``[B, columns]``.
        limit: of :func:`limit_of`.
    """
    alarms, worth = [], bets(p)
    gathered, began = np.zeros(p.shape[1]), np.zeros(p.shape[1], int)
    cumulated = np.zeros(p.shape[1])  # the same from the likeliest start on, which it shows
    at = 0
    while at < len(blocks):
        began[cumulated <= 1] = at
        cumulated = np.maximum(cumulated, 1) * worth[at]
        gathered = (gathered + 1) * worth[at]
        if gathered.mean() >= limit:
            cell = int(gathered.argmax())
            end = _end(p[:, cell], at)
            over = None if end == len(blocks) else int(blocks[end - 1] + 1) * BLOCK
            start = int(blocks[began[cell]]) * BLOCK
            alarms.append(Alarm(test, start, int(blocks[at] + 1) * BLOCK, over, cell))
            gathered, cumulated, at = np.zeros_like(gathered), np.zeros_like(cumulated), end - 1
        at += 1
    return alarms


def _end(p: Values, noticed: int) -> int:
    """Return the number of the block after which an alarm is over; of all blocks if it lasts."""
    usual = p > USUAL
    for at in range(noticed + DAY, len(p)):
        if usual[at - DAY + 1 : at + 1].mean() > 0.75:
            return at + 1
    return len(p)
