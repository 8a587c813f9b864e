"""``python -m edge pull``, ``score`` and ``predict``: the commands that use a released model."""

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from edge.cli.camera_options import add_camera_options, selected_camera
from edge.cli.options import Option, whole_number
from edge.cli.writing import require_writable, require_writable_file
from edge.inference.record import ModelRecord
from edge.protocol.signature import KEYS_FILE, pinned_keys


def add_model_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the three commands on models.

    Args:
        add: makes a command from its name, its function, its purpose and its options.
    """
    models = "the folder of all models; created if it is missing"
    address = "the MLflow server's address (default: MLFLOW_TRACKING_URI)"
    keys = "file of public keys, one a line, of which one has to have signed the release "
    keys += (
        f"(default: {KEYS_FILE} in the folder of all models, where the first release pins its own)"
    )
    add(
        "pull",
        _pull,
        "install the released model from an MLflow server on this device",
        # the variable is no default: the help would show a password in it
        Option("--server", "URL", address, required=not os.environ.get("MLFLOW_TRACKING_URI")),
        Option("--model", "NAME", "the registered model's name", required=True),
        Option("--alias", "ALIAS", "the alias of its version", default="champion"),
        Option("--into", "FOLDER", models, Path, required=True),
        Option("--keys", "FILE", keys, Path),
        Option("--unsigned", "", "install an unsigned release if no key is pinned"),
    )
    model = "the folder of the model, as pull created it"
    device = "the ID of the device that took the frames, whose region counts"
    command = add(
        "score",
        _score,
        "score new frames with the pulled model",
        Option("--models", "FOLDER/NAME", model, Path, required=True),
        Option("--count", "N", "how many frames", whole_number(1), 10),
        Option("--truth", "FILE", "JSON with the true label by file name, shown beside", Path),
        Option("--device", "ID", device, default=""),
        Option("--json", "FILE", "also write the rows to a file, as JSON", Path),
    )
    add_camera_options(command, start="2026-07-27T00:00:00", period=150)
    command = add(
        "predict",
        _predict,
        "have a server of `mlflow models serve` score images",
        Option("--server", "URL", "the server's address", default="http://127.0.0.1:5001"),
        Option("--device", "ID", device, default=""),
    )
    command.add_argument("files", type=Path, nargs="+", metavar="FILE", help="an image")


def _pull(options: argparse.Namespace) -> None:
    from edge.cli.pull import pull  # here, so that a capture does not load onnxruntime

    require_writable(options.into / options.model)
    keys = pinned_keys(options.keys, options.into)
    server = options.server or os.environ.get("MLFLOW_TRACKING_URI", "")
    model = pull(server, options.model, options.alias, options.into, keys, options.unsigned)
    if not pinned_keys(options.keys, options.into):
        print("edge pull: the release is not signed, and no key is pinned", file=sys.stderr)
    source = {"model": options.model, "version": model.version}
    source |= ModelRecord.read(model.folder).source
    name = f"{source['model']} {source['version']}, release {model.release}"
    if model.downloaded:
        print(f"{name}: {model.downloaded} bytes pulled into {model.folder}, {model.file} is used")
    else:
        print(f"{name}: in {model.folder}, nothing to download, {model.file} is used")


def _score(options: argparse.Namespace) -> None:
    from edge.cli.score import kept_as_json, print_table, read_truth, score_frames
    from edge.update.current import CurrentModel
    from edge.update.errors import NoModelError

    truth = read_truth(options.truth) if options.truth else {}
    if options.json:
        require_writable_file(options.json)
    try:
        model = CurrentModel(options.models)
    except NoModelError as error:
        raise NoModelError(
            f"{error}: {options.program} pull --server URL --model {options.models.name} "
            f"--into {options.models.parent}"
        ) from error
    frames = selected_camera(options).frames(options.count)
    scored = score_frames(model, frames, truth, options.device)
    with closing(kept_as_json(scored, options.json)) as rows:
        print_table(rows, model.scorer.record)


def _predict(options: argparse.Namespace) -> None:
    from edge.cli.predict import predict

    width = max(len(file.name) for file in options.files)
    for row in predict(options.server, options.files, options.device):
        name = f" ({row['name']})" if "name" in row else ""
        print(f"{row['file']:<{width}}  {row['label']}{name}  {row['score']:.4f}", flush=True)
