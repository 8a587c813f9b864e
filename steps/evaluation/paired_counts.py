"""The images on which just one of two models is correct, and what they show."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steps.evaluation.predictions import Predictions


@dataclass(frozen=True)
class PairedCounts:
    """The discordant pairs of two models on the same images.

    Attributes:
        images: number of images.
        only_champion: images on which the champion alone is correct.
        only_challenger: images on which the challenger alone is correct.
    """

    images: int
    only_champion: int
    only_challenger: int

    @classmethod
    def of(cls, challenger: NDArray[np.bool_], champion: NDArray[np.bool_]) -> "PairedCounts":
        """Count the discordant pairs by the images on which each model is correct, ``bool [N]``."""
        only_champion, only_challenger = champion & ~challenger, challenger & ~champion
        return cls(len(champion), int(only_champion.sum()), int(only_challenger.sum()))

    @property
    def difference(self) -> float:
        """The challenger's accuracy minus the champion's."""
        return (self.only_challenger - self.only_champion) / self.images

    def mcnemar(self) -> float:
        """Return the two-sided p-value of McNemar's exact test: that both are equally good."""
        tails = map(self._tail, (self.only_champion, self.only_challenger))
        return min(1.0, 2 * min(tails))

    def chance_of_equals(self) -> float:
        """Return the one-sided p-value: how likely two equally good ones differ so much or more
        in the challenger's favour.

        >>> PairedCounts(20, 0, 5).chance_of_equals()
        0.03125
        """
        return self._tail(self.only_champion)

    def _tail(self, fewer: int) -> float:
        """Return how likely no more than so many of the discordant images are the champion's."""
        discordant = self.only_challenger + self.only_champion
        ways: int = sum(math.comb(discordant, k) for k in range(fewer + 1))
        return float(ways / 2**discordant)

    def score(self, margin: float) -> float:
        """Return Tango's score statistic against a challenger that is worse by ``margin``.

        It is standard normal if the challenger is worse by just that; the greater, the surer
        that it is not. T. Tango, Statistics in Medicine 17 (1998), 891–908.

        >>> PairedCounts(52, 0, 0).score(0.05) > 1.645 > PairedCounts(51, 0, 0).score(0.05)
        True
        """
        n, b, c, delta = self.images, self.only_champion, self.only_challenger, -margin
        linear = -(b + c) + (2 * n - c + b) * delta
        constant = -b * delta * (1 - delta)
        rate = (math.sqrt(linear**2 - 8 * n * constant) - linear) / (4 * n)
        return (c - b - n * delta) / math.sqrt(n * (2 * rate + delta * (1 - delta)))


def pair(challenger: Predictions, champion: Predictions) -> PairedCounts:
    """Count the discordant pairs of two models on the same images."""
    if not np.array_equal(challenger.sha256, champion.sha256):
        raise RuntimeError("the two models have predicted different images")
    return PairedCounts.of(challenger.correct, champion.correct)
