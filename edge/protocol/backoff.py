"""How long to wait after failures in a row: twice as long each time, up to a bound."""


def backoff_seconds(failures: int, first: float, longest: float) -> float:
    """Return the pause before the next attempt, in seconds.

    Args:
        failures: how many attempts in a row have failed.
        first: the pause after the first failure.
        longest: the bound of all pauses.

    >>> [backoff_seconds(failures, first=1, longest=10) for failures in range(6)]
    [0.0, 1.0, 2.0, 4.0, 8.0, 10]
    """
    if failures <= 0:
        return 0.0
    # a float has a largest number, and a dead server fails forever
    return min(first * 2.0 ** min(failures - 1, 60), longest)
