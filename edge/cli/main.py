"""``python -m edge``: the parser of all commands, and how their errors are shown."""

import argparse
import os
import sys
from collections.abc import Callable

from edge.cli.agent_commands import add_agent_commands
from edge.cli.capture import add_capture_command
from edge.cli.model_commands import add_model_commands
from edge.cli.options import Option, add_options
from edge.inference.errors import RecordError, UserError
from edge.protocol.version import project_version

PROGRAM = os.environ.get("EDGE_PROGRAM", "python -m edge")
"""The program's name in messages; the installed command sets the variable."""

Command = Callable[[argparse.Namespace], None]

USER_ERRORS = (
    *(UserError, RecordError, PermissionError, FileExistsError, FileNotFoundError),
    *(NotADirectoryError, IsADirectoryError),
)
"""The errors that the user can fix: they are shown as one line instead of a stack trace."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the exit status.

    Args:
        arguments: as on the command line; ``None`` for the process's own.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except USER_ERRORS as error:
        if options.debug:
            raise
        print(f"edge {options.command}: {_message(error)}", file=sys.stderr)
        return 1
    return 0


def _message(error: Exception) -> str:
    if isinstance(error, PermissionError) and error.filename:
        return f"this user may not access {error.filename}: put sudo before the command"
    return str(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Run the agent of a device, or one of its tasks alone: capture frames, pull "
        "the released model, score frames with it, or have a server score images.",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {project_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Command, purpose: str, *options: Option) -> argparse.ArgumentParser:
        description = f"{purpose[0].upper()}{purpose[1:]}."
        command = commands.add_parser(name, help=purpose, description=description)
        command.set_defaults(run=run, program=PROGRAM)
        add_options(command, *options, Option("--debug", "", "show the stack trace of an error"))
        return command

    add_agent_commands(add)
    add_capture_command(add)
    add_model_commands(add)
    return parser
