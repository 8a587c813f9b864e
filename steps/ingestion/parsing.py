"""What a device states, as values that a column of a table can hold."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

DAMAGE = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError)
"""What reading a statement raises that is none."""

YEARS = range(1970, 2200)
"""Those that Spark, Arrow and pandas can all count the nanoseconds of."""


def text(value: Any) -> str:
    """As text.

    Raises:
        ValueError: it holds half a character, which UTF-8 cannot write.
    """
    written = str(value)
    written.encode()
    return written


def whole(value: Any, bits: int = 64) -> int:
    """As a whole number of so many bits.

    Raises:
        ValueError: it is none, or too large for them.
    """
    number = int(value)
    if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        raise ValueError(f"a number of {number.bit_length()} bits, {bits - 1} are the most")
    return number


def moment(value: str) -> datetime:
    """As a time in UTC, from ISO 8601.

    Raises:
        ValueError: it is none, has no time zone, or is of another age.
    """
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError(f"{value} has no time zone")
    if time.year not in YEARS:
        raise ValueError(f"{value} is of another age")
    return time.astimezone(UTC)


def optional(value: Any, convert: Callable, *arguments: Any) -> Any:
    """As one of these converts it; None stays None."""
    return None if value is None else convert(value, *arguments)
