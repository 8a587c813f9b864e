"""``python -m edge``: the parser of all commands, and how their errors are shown."""

import argparse
import os
import signal
import sys
from collections.abc import Callable

from edge.cli.agent_commands import add_agent_commands
from edge.cli.capture import add_capture_command
from edge.cli.model_commands import add_model_commands
from edge.cli.options import Option, add_options
from edge.cli.writing import end_output, explain
from edge.protocol.version import project_version

PROGRAM = os.environ.get("EDGE_PROGRAM", "python -m edge")
"""The program's name in messages; the installed command sets the variable."""

Command = Callable[[argparse.Namespace], None]

INTERRUPTED, READER_LEFT = 128 + signal.SIGINT, 128 + signal.SIGPIPE
"""The exit statuses that a shell gives a program which these signals end."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the exit status.

    Args:
        arguments: as on the command line; ``None`` for the process's own.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
        print(end="", flush=True)  # here, where a full disk is told in one line
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and not error.filename:
            return READER_LEFT
        message = explain(error)
        if message is None or options.debug:
            raise
        print(f"edge {options.command}: {message}", file=sys.stderr)
        return 1
    finally:
        end_output()
    return 0


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
