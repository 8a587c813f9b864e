"""The command line: ``python -m edge run|status|capture|pull|score|predict``."""

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from edge.agent.commands import add_commands
from edge.camera_options import add_camera, open_camera, whole_count
from edge.capture import capture
from edge.errors import UserError
from edge.record import RecordError
from edge.signature import KEYS_FILE, read_keys

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
        prog="python -m edge",
        description="The device's side: run the agent, or one thing alone: capture frames, pull "
        "the released model, score frames with it, or let a server score pictures.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_commands(partial(_add_command, commands))
    _add_capture(commands)
    _add_pull(commands)
    _add_score(commands)
    _add_predict(commands)
    return parser


def _add_command(commands, name: str, run: Callable, purpose: str) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=purpose,
        description=purpose[0].upper() + purpose[1:] + ".",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.set_defaults(run=run, debug=False)
    command.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show the stack trace of any error",
    )
    return command


def _add_capture(commands) -> None:
    command = _add_command(
        commands, "capture", _capture, "write frames from a camera into a landing folder, as JPEG"
    )
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
    print(f"{done.written} frames written to {options.to}{known}")


def _add_pull(commands) -> None:
    command = _add_command(
        commands, "pull", _pull, "bring the released model from an MLflow server onto this device"
    )
    server = os.environ.get("MLFLOW_TRACKING_URI")
    command.add_argument(
        "--server",
        default=server or argparse.SUPPRESS,
        required=server is None,
        metavar="URL",
        help="the MLflow server's address; MLFLOW_TRACKING_URI does as well",
    )
    command.add_argument(
        "--model",
        required=True,
        default=argparse.SUPPRESS,
        metavar="NAME",
        help="the registered model's name",
    )
    command.add_argument("--alias", default="champion", metavar="ALIAS", help="which version of it")
    command.add_argument(
        "--into",
        type=Path,
        required=True,
        default=argparse.SUPPRESS,
        metavar="FOLDER",
        help="the folder of all models; made where it is missing",
    )
    command.add_argument(
        "--keys",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="FILE",
        help="public keys, one a line, of which one has to have signed the release "
        f"(default: {KEYS_FILE} in the folder of all models, where it exists)",
    )
    command.add_argument(
        "--again",
        action="store_true",
        default=argparse.SUPPRESS,
        help="try a release once more that failed on this device",
    )


def _pull(options: argparse.Namespace) -> None:
    from edge.pull import pull  # here, so that a capture needs no onnxruntime

    keys = _pinned(options)
    again = hasattr(options, "again")
    done = pull(options.server, options.model, options.alias, options.into, keys, again)
    if not keys:
        print(
            "edge pull: no key is pinned, so any release is taken; put the public key of yours "
            f"into {options.into / KEYS_FILE}",
            file=sys.stderr,
        )
    what = f"{options.model} version {done.version}, release {done.release}"
    if done.downloaded:
        print(f"{what}: {done.downloaded} bytes pulled into {done.folder}, {done.file} is used")
    else:
        print(f"{what}: in {done.folder}, nothing to download, {done.file} is used")


def _pinned(options: argparse.Namespace) -> list[str]:
    """The trusted public keys; a file that is named has to exist."""
    kept = options.into / KEYS_FILE
    if hasattr(options, "keys"):
        return read_keys(options.keys)
    return read_keys(kept) if kept.exists() else []


def _add_score(commands) -> None:
    command = _add_command(commands, "score", _score, "score new frames with the pulled model")
    command.add_argument(
        "--models",
        type=Path,
        required=True,
        default=argparse.SUPPRESS,
        metavar="FOLDER/NAME",
        help="where pull put the model's versions",
    )
    command.add_argument(
        "--count", type=whole_count, default=10, metavar="N", help="how many frames"
    )
    command.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="write the rows to a file too, as JSON",
    )
    add_camera(command, start="2026-07-27T00:00:00", period=150)


def _score(options: argparse.Namespace) -> None:
    from edge.current import CurrentModel
    from edge.score import print_table, scored, write_rows

    model = CurrentModel(options.models)
    frames = open_camera(options).frames(options.count)
    rows = print_table(scored(model, frames), model.scorer.record.labels)
    if hasattr(options, "json"):
        write_rows(rows, options.json)


def _add_predict(commands) -> None:
    command = _add_command(
        commands, "predict", _predict, "let a server of `mlflow models serve` score pictures"
    )
    command.add_argument(
        "files", type=Path, nargs="+", default=argparse.SUPPRESS, metavar="FILE", help="a picture"
    )
    command.add_argument(
        "--server", default="http://127.0.0.1:5001", metavar="URL", help="its address"
    )


def _predict(options: argparse.Namespace) -> None:
    from edge.predict import predict

    width = max(len(file.name) for file in options.files)
    for row in predict(options.server, options.files):
        print(f"{row['file']:<{width}}  {row['label']}  {row['score']:.4f}", flush=True)
