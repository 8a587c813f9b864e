"""When to ask the registry next, so that a fleet does not ask all at once."""

import random

from edge.protocol.backoff import backoff_seconds

JITTER = 0.2
"""How far one wait may be from the period, as a share of it."""


class PollTimes:
    """The waits between a device's polls, in seconds.

    The first is anywhere within one period: after a power cut a whole fleet starts together.
    Later ones are the period, give or take ``JITTER``. After failures they double, up to
    ``longest``, and are drawn anew between half and all of it, so that a server that comes back
    is not met by everybody at once.

    Args:
        period: seconds between two polls where all is well.
        seed: of the device, such as its ID: another seed is another rhythm.
        longest: seconds that no wait exceeds by failures.

    >>> times = PollTimes(300, seed="porch")
    >>> first, later = times.first(), times.next(failures=0)
    >>> 0 <= first <= 300 and 240 <= later <= 360
    True
    """

    def __init__(self, period: float, seed: int | str, longest: float = 3600.0):
        self.period, self.longest = period, max(longest, period)
        self._random = random.Random(seed)

    def first(self) -> float:
        return self._random.uniform(0, self.period)

    def next(self, failures: int) -> float:
        """The wait after a poll.

        Args:
            failures: how many polls in a row have failed, this one included; 0 after a good one.
        """
        if failures <= 0:
            return self.period * self._random.uniform(1 - JITTER, 1 + JITTER)
        longest = backoff_seconds(failures, first=2 * self.period, longest=self.longest)
        return self._random.uniform(longest / 2, longest)
