"""Values that a device sent, parsed into what a column of a table can hold."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

PARSE_ERRORS = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What parsing a damaged file of a device can raise."""

YEARS = range(1970, 2200)
"""Those whose nanoseconds Spark, Arrow and pandas can all count."""


def parse_str(value: Any) -> str:
    """Return a value as text.

    Raises:
        ValueError: it holds half a surrogate pair, which UTF-8 cannot encode.
    """
    text = str(value)
    text.encode()
    return text


def parse_int(value: Any, bits: int = 64) -> int:
    """Return a value as an integer of so many bits.

    Raises:
        ValueError: it is not a number, or is too large.
    """
    number = int(value)
    if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        raise ValueError(f"a number of {number.bit_length()} bits, of which {bits - 1} fit")
    return number


def parse_utc(value: str) -> datetime:
    """Return an ISO 8601 time in UTC.

    Raises:
        ValueError: it is not a time, has no time zone, or its year is out of range.
    """
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError(f"{value} has no time zone")
    if time.year not in YEARS:
        raise ValueError(f"the year of {value} is not from {YEARS.start} to {YEARS.stop - 1}")
    return time.astimezone(UTC)


def parse_optional(value: Any, parse: Callable[..., Any], *arguments: Any) -> Any:
    """Return None for None, and any other value as ``parse`` returns it."""
    return None if value is None else parse(value, *arguments)
