"""When to ask the registry next, so that a fleet does not ask all at once."""

import random

from edge.protocol.backoff import backoff_seconds

FIRST_SECONDS = 5.0
"""The longest first wait of a device that has no model yet."""

JITTER = 0.2
"""The largest deviation of a wait from the period, as a share of it."""


class PollTimes:
    """The waits between a device's polls, in seconds.

    The first is anywhere within one period, since after a power cut all devices start together.
    Later ones are the period ± ``JITTER``. After failures they double up to ``longest``, and are
    drawn between half and all of that, so that a server that comes back is not overrun. A device
    without a model begins with ``FIRST_SECONDS``, and waits no longer than a period.

    Args:
        period: seconds between two polls.
        seed: of the device, such as its ID; devices with other seeds poll at other times.
        longest: the longest wait after failures, in seconds.

    >>> times = PollTimes(300, seed="porch")
    >>> first, later = times.first(), times.next(failures=0)
    >>> 0 <= first <= 300 and 240 <= later <= 360
    True
    """

    def __init__(self, period: float, seed: int | str, longest: float = 3600.0):
        self.period, self.longest = period, max(longest, period)
        self._random = random.Random(seed)  # noqa: S311  # spreads the load, guards nothing

    def first(self) -> float:
        """Return the wait before the first poll."""
        return self._random.uniform(0, self.period)

    def next(self, failures: int, has_model: bool = True) -> float:
        """Return the wait after a poll.

        Args:
            failures: how many polls in a row have failed, including this one.
            has_model: whether there is a model in use; without one, the device asks sooner.
        """
        if failures <= 0:
            return self.period * self._random.uniform(1 - JITTER, 1 + JITTER)
        if has_model:
            longest = backoff_seconds(failures, first=2 * self.period, longest=self.longest)
        else:
            longest = backoff_seconds(failures, first=FIRST_SECONDS, longest=self.period)
        return self._random.uniform(longest / 2, longest)
