"""The command line: ``python -m edge run|status|capture|pull|score|predict``."""

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from edge.cli.agent_commands import add_agent_commands
from edge.cli.camera_options import add_camera, open_camera, whole_count
from edge.cli.capture import capture
from edge.cli.model_commands import add_model_commands
from edge.cli.wording import pluralize
from edge.inference.errors import UserError
from edge.inference.record import RecordError

PROGRAM = os.environ.get("EDGE_PROGRAM", "python -m edge")
"""What is typed here to run a command; where it is installed, that says so."""

MENDABLE = (
    *(UserError, RecordError, PermissionError, FileExistsError, FileNotFoundError),
    *(NotADirectoryError, IsADirectoryError),
)
"""What the user can mend: one line instead of a stack trace."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status.

    Args:
        arguments: as on the command line; ``None`` takes the process's own.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except MENDABLE as error:
        if options.debug:
            raise
        print(f"edge {options.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="The device's side: run the agent, or one thing alone: capture frames, pull "
        "the released model, score frames with it, or let a server score images.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = partial(_add_command, commands)
    add_agent_commands(add)
    _add_capture(add)
    add_model_commands(add)
    return parser


def _add_command(commands, name: str, run: Callable, purpose: str) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=purpose,
        description=purpose[0].upper() + purpose[1:] + ".",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.set_defaults(run=run, debug=False, program=PROGRAM)
    command.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show the stack trace of any error",
    )
    return command


def _add_capture(add: Callable[..., argparse.ArgumentParser]) -> None:
    command = add("capture", _capture, "write frames from a camera into a landing folder, as JPEG")
    command.add_argument(
        "--to",
        type=Path,
        required=True,
        default=argparse.SUPPRESS,
        metavar="FOLDER",
        help="the landing folder; made where it is missing",
    )
    command.add_argument(
        "--count",
        type=whole_count,
        default=argparse.SUPPRESS,
        metavar="N",
        help="how many frames (default: simulated 480, picamera2 1, folder all)",
    )
    command.add_argument(
        "--device", default="1", metavar="ID", help="the device's ID, for the file name"
    )
    command.add_argument(
        "--view",
        default="porch",
        metavar="NAME",
        help="what the camera looks at, for the file name",
    )
    add_camera(command, start="2026-07-13T00:15:00", period=30)


def _capture(options: argparse.Namespace) -> None:
    camera = open_camera(options)
    count = getattr(options, "count", {"simulated": 480, "picamera2": 1}.get(options.camera))
    done = capture(camera, options.to, count, options.device, options.view)
    known = f", {done.skipped} there already" if done.skipped else ""
    print(f"{pluralize(done.written, 'frame')} written to {options.to}{known}")
