"""``python -m edge pull``, ``score`` and ``predict``: what is done with a released model."""

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
        add: makes a command from its name, what it runs, and its purpose.
    """
    _add_pull(add)
    _add_score(add)
    _add_predict(add)


def _add_pull(add: Callable[..., argparse.ArgumentParser]) -> None:
    command = add("pull", _pull, "bring the released model from an MLflow server onto this device")
    server = os.environ.get("MLFLOW_TRACKING_URI")
    command.add_argument(
        "--server",
        default=argparse.SUPPRESS,  # not the variable's: it may have a password, and help shows it
        required=not server,
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
    from edge.cli.pull import pull  # here, so that a capture needs no onnxruntime

    _require_writable(options.into / options.model)
    keys = _pinned(options)
    again = hasattr(options, "again")
    server = getattr(options, "server", None) or os.environ["MLFLOW_TRACKING_URI"]
    done = pull(server, options.model, options.alias, options.into, keys, again)
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


def _require_writable(folder: Path) -> None:
    """Raise :class:`UserError` unless this user may write into a folder, or make it."""
    there = next(place for place in (folder, *folder.parents) if os.path.exists(place))
    if there.is_dir() and not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"this user may not write to {there}: put sudo before the command")


def _pinned(options: argparse.Namespace) -> list[str]:
    """The trusted public keys; a file that is named has to exist."""
    kept = options.into / KEYS_FILE
    if hasattr(options, "keys"):
        return read_keys(options.keys)
    return read_keys(kept) if kept.exists() else []


def _add_score(add: Callable[..., argparse.ArgumentParser]) -> None:
    command = add("score", _score, "score new frames with the pulled model")
    command.add_argument(
        "--models",
        type=Path,
        required=True,
        default=argparse.SUPPRESS,
        metavar="FOLDER/NAME",
        help="where pull put the model's versions",
    )
    command.add_argument(
        "--count", type=parse_count, default=10, metavar="N", help="how many frames"
    )
    command.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="write the rows to a file too, as JSON",
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
    command = add("predict", _predict, "let a server of `mlflow models serve` score images")
    command.add_argument(
        "files", type=Path, nargs="+", default=argparse.SUPPRESS, metavar="FILE", help="an image"
    )
    command.add_argument(
        "--server", default="http://127.0.0.1:5001", metavar="URL", help="its address"
    )


def _predict(options: argparse.Namespace) -> None:
    from edge.cli.predict import predict

    width = max(len(file.name) for file in options.files)
    for row in predict(options.server, options.files):
        print(f"{row['file']:<{width}}  {row['label']}  {row['score']:.4f}", flush=True)
