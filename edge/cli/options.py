"""The options of the commands, and how their values are read."""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

from edge.protocol.landing_names import part_error


class Option(NamedTuple):
    """An option of a command.

    Attributes:
        name: such as ``--to``.
        value: what the help calls its value; "" for a switch, which has none.
        help: what it is for.
        read: turns the text of the command line into the value.
        default: which the help names too; None without one.
        required: whether the command needs it.
    """

    name: str
    value: str
    help: str
    read: Callable[[str], Any] = str
    default: Any = None
    required: bool = False


def add_options(command: "argparse._ActionsContainer", *options: Option) -> None:
    """Add options to a command, or to a group of it."""
    for name, value, help, read, default, required in options:
        if not value:
            command.add_argument(name, action="store_true", help=help)
            continue
        text = help if default is None else f"{help} (default: %(default)s)"
        command.add_argument(
            name, metavar=value, help=text, type=read, default=default, required=required
        )


def name_part(text: str) -> str:
    """Read a device or a view as ingest reads it back from a file's name."""
    if error := part_error(text):
        raise argparse.ArgumentTypeError(f"{text!r}: {error}")
    return text


MOST = 2**31 - 1
"""The largest whole number of an option: any system can count as far."""


def whole_number(least: int) -> Callable[[str], int]:
    """Return what reads a whole number from a bound up."""

    def read(text: str) -> int:
        # Python reads no number of thousands of digits
        if not text.isdecimal() or len(text) > 20 or not least <= int(text) <= MOST:
            why = f"{text!r} is not a whole number from {least} to {MOST}"
            raise argparse.ArgumentTypeError(why)
        return int(text)

    return read
