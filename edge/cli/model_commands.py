"""``python -m edge pull``, ``score`` and ``predict``: the commands that use a released model."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from edge.cli.camera_options import add_camera_options, parse_count, selected_camera
from edge.inference.errors import UserError
from edge.protocol.signature import KEYS_FILE, read_keys


def add_model_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the three commands.

    Args:
        add: makes a command from its name, its function and its purpose.
    """
    _add_pull(add)
    _add_score(add)
    _add_predict(add)


def _add_pull(add: Callable[..., argparse.ArgumentParser]) -> None:
    command = add("pull", _pull, "install the released model from an MLflow server on this device")
    server = os.environ.get("MLFLOW_TRACKING_URI")
    command.add_argument(
        "--server",
        default=argparse.SUPPRESS,  # not the variable: help would show a password in it
        required=not server,
        metavar="URL",
        help="the MLflow server's address (default: MLFLOW_TRACKING_URI)",
    )
    command.add_argument(
        "--model",
        required=True,
        default=argparse.SUPPRESS,
        metavar="NAME",
        help="the registered model's name",
    )
    command.add_argument(
        "--alias", default="champion", metavar="ALIAS", help="the alias of its version"
    )
    command.add_argument(
        "--into",
        type=Path,
        required=True,
        default=argparse.SUPPRESS,
        metavar="FOLDER",
        help="the folder of all models; created if it is missing",
    )
    command.add_argument(
        "--keys",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="FILE",
        help="file of public keys, one a line, of which one has to have signed the release "
        f"(default: {KEYS_FILE} in the folder of all models, if it exists)",
    )
    command.add_argument(
        "--again",
        action="store_true",
        default=argparse.SUPPRESS,
        help="install a release even if it failed on this device before",
    )


def _pull(options: argparse.Namespace) -> None:
    from edge.cli.pull import pull  # here, so that a capture does not load onnxruntime

    _require_writable(options.into / options.model)
    keys = _pinned_keys(options)
    again = hasattr(options, "again")
    server = getattr(options, "server", None) or os.environ["MLFLOW_TRACKING_URI"]
    model = pull(server, options.model, options.alias, options.into, keys, again)
    if not keys:
        print(
            "edge pull: no key is pinned, so unsigned releases are installed too; put your public "
            f"key into {options.into / KEYS_FILE}",
            file=sys.stderr,
        )
    name = f"{options.model} version {model.version}, release {model.release}"
    if model.downloaded:
        print(f"{name}: {model.downloaded} bytes pulled into {model.folder}, {model.file} is used")
    else:
        print(f"{name}: in {model.folder}, nothing to download, {model.file} is used")


def _require_writable(folder: Path) -> None:
    """Raise :class:`UserError` unless this user may write into a folder, or create it."""
    existing = next(place for place in (folder, *folder.parents) if os.path.exists(place))
    if existing.is_dir() and not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"this user may not write to {existing}: put sudo before the command")


def _pinned_keys(options: argparse.Namespace) -> list[str]:
    """Read the trusted public keys; a file given by ``--keys`` has to exist."""
    if hasattr(options, "keys"):
        return read_keys(options.keys)
    default = options.into / KEYS_FILE
    return read_keys(default) if default.exists() else []


def _add_score(add: Callable[..., argparse.ArgumentParser]) -> None:
    command = add("score", _score, "score new frames with the pulled model")
    command.add_argument(
        "--models",
        type=Path,
        required=True,
        default=argparse.SUPPRESS,
        metavar="FOLDER/NAME",
        help="the folder of the model, as pull created it",
    )
    command.add_argument(
        "--count", type=parse_count, default=10, metavar="N", help="how many frames"
    )
    command.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="also write the rows to a file, as JSON",
    )
    add_camera_options(command, start="2026-07-27T00:00:00", period=150)


def _score(options: argparse.Namespace) -> None:
    from edge.cli.score import print_table, score_frames, write_rows
    from edge.update.current import CurrentModel, NoModelError

    try:
        model = CurrentModel(options.models)
    except NoModelError as error:
        raise NoModelError(
            f"{error}: {options.program} pull --server URL --model {options.models.name} "
            f"--into {options.models.parent}"
        ) from error
    frames = selected_camera(options).frames(options.count)
    rows = print_table(score_frames(model, frames), model.scorer.record.labels)
    if hasattr(options, "json"):
        write_rows(rows, options.json)


def _add_predict(add: Callable[..., argparse.ArgumentParser]) -> None:
    command = add("predict", _predict, "have a server of `mlflow models serve` score images")
    command.add_argument(
        "files", type=Path, nargs="+", default=argparse.SUPPRESS, metavar="FILE", help="an image"
    )
    command.add_argument(
        "--server", default="http://127.0.0.1:5001", metavar="URL", help="the server's address"
    )


def _predict(options: argparse.Namespace) -> None:
    from edge.cli.predict import predict

    width = max(len(file.name) for file in options.files)
    for row in predict(options.server, options.files):
        print(f"{row['file']:<{width}}  {row['label']}  {row['score']:.4f}", flush=True)
