"""Values that a device sent, parsed into what the columns of a table can hold."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from steps.lake.table import Table

PARSE_ERRORS = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError)
"""What parsing a damaged file of a device can raise."""

YEARS = range(1970, 2200)
"""Those whose nanoseconds Spark, Arrow and pandas can all count."""


def parse_row(values: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """Return a value for each column of a table, None for None.

    Raises:
        KeyError: a value is missing.
        ValueError: one does not fit its column.
    """
    row = {}
    for name, type_ in table.types.items():
        value = values[name]
        try:
            row[name] = None if value is None else PARSERS[type_](value)
        except PARSE_ERRORS as error:
            raise ValueError(f"{name} is {value!r:.200}: {error}") from error
    return row


def _parse_str(value: str) -> str:
    value.encode()  # half a surrogate pair has no UTF-8
    return value


def _parse_int(value: Any, bits: int = 64) -> int:
    number = int(value)
    if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        raise ValueError(f"a number of {number.bit_length()} bits, of which {bits - 1} fit")
    return number


def _parse_utc(value: str) -> datetime:
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError("it has no time zone")
    if time.year not in YEARS:
        raise ValueError(f"its year is not from {YEARS.start} to {YEARS.stop - 1}")
    return time.astimezone(UTC)


PARSERS: dict[str, Callable[[Any], Any]] = {
    "STRING": _parse_str,
    "BIGINT": _parse_int,
    "INT": partial(_parse_int, bits=32),
    "DOUBLE": float,
    "BOOLEAN": bool,
    "TIMESTAMP": _parse_utc,
    "MAP<STRING, DOUBLE>": lambda of: {_parse_str(name): float(x) for name, x in of.items()},
    "ARRAY<STRING>": lambda of: [_parse_str(text) for text in of],
    "ARRAY<STRUCT<at: STRING, message: STRING>>": lambda of: [
        (_parse_str(one["at"]), _parse_str(one["message"])) for one in of
    ],
}
"""What parses a value, by its column's type."""
